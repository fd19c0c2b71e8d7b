"""A computation that needs more memory than is available is refused in one line, before it starts.

Every test runs in a separate process with limited memory, so that a failed check ends only this process.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from places import ROOT, SHARED

from unfolded_ogamp import memory
from unfolded_ogamp.imaging.files.csi import save_csi
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.memory import MemoryLimitError, available_memory, require_memory

HALF_A_GIGABYTE = 5e8
PROGRAM = """
import resource, sys
from unfolded_ogamp.catalogue import build_estimator, parse_entry
from unfolded_ogamp.imaging.files.csi import load_csi
from unfolded_ogamp.system import system
path, more, *names = sys.argv[1:]
estimators = [build_estimator(system("imaging"), parse_entry(name)) for name in names]
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(float(more)),) * 2)
for estimator in estimators:
    try:
        file = load_csi(path)
        estimator(file.csi, file.array, file.grid)
    except ValueError as error:
        print(error)
    else:
        print("estimated")
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are those of Linux")


def outcomes(path: Path, *estimators: str, more: float = HALF_A_GIGABYTE) -> list[str]:
    """Results of estimators on a file, one line each, in a process that may allocate `more` bytes."""
    command = [sys.executable, "-c", PROGRAM, str(path), str(more), *estimators]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == len(estimators)
    return lines


def assert_refused(line: str) -> None:
    assert "would take" in line
    assert line.endswith("GB available")


def scene(path: Path, **changes: object) -> Path:
    """A CSI file of the setting "toy", with other keys."""
    drawn = draw(Scenario(n_tx=8, n_rx=8, pixels=(6, 6)), 1, torch.Generator().manual_seed(0))
    save_csi(path, *drawn)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, **changes})
    return path


SEARCHING = ("unfolded", "greedy", "matched_filter", "omp")
OTHERS = ("og_amp", "og_amp_paper", "gamp", "sparse_bayesian", "fista")


def test_too_many_pixels_are_refused_by_every_estimator(tmp_path):
    """1.4 million pixels; the grid itself fits into memory."""
    path = scene(tmp_path / "scene.npz", pixel=1e-3)
    for line in outcomes(path, *SEARCHING, *OTHERS):
        assert_refused(line)


@pytest.mark.parametrize("pixel", [2000.0, 1e300])
def test_pixels_of_many_wavelengths_are_refused_by_estimators_with_a_search_grid(pixel, tmp_path):
    path = scene(tmp_path / "scene.npz", pixel=pixel)
    for line in outcomes(path, *SEARCHING):
        assert_refused(line)
        assert "positions to search" in line


def test_a_refused_estimate_runs_with_more_memory(tmp_path):
    """The estimate of the memory is not too high."""
    path = scene(tmp_path / "scene.npz", pixel=0.006)
    (line,) = outcomes(path, "greedy", more=7e7)
    assert_refused(line)
    assert outcomes(path, "greedy", more=7e8) == ["estimated"]


@pytest.mark.parametrize("name", ["pixel_in_mm", "pixel_200", "guard_too_weak", "fuzz_01"])
def test_files_of_too_large_scenes_are_refused(name):
    path = SHARED / "faults" / f"{name}.npz"
    if not path.exists():
        pytest.skip("needs the shared files")
    for line in outcomes(path, "unfolded", "greedy"):
        assert_refused(line)


def test_small_file_that_expands_is_refused_before_it_is_expanded(tmp_path):
    path = scene(tmp_path / "scene.npz")
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files if key != "csi"}
    np.savez_compressed(path, **arrays)
    zeros = bytes(2**22)
    header = {"descr": "<c16", "fortran_order": False, "shape": (8, 8, 2**28 // (64 * 16))}
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("csi.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(64):
            member.write(zeros)
    assert path.stat().st_size < 2**19
    (line,) = outcomes(path, "greedy")
    assert_refused(line)
    assert "arrays of 0.268 GB" in line


def test_small_requests_are_not_checked(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda _: 0.0)
    require_memory(memory.UNCHECKED, "little")
    with pytest.raises(MemoryLimitError, match=r"^much would take 0\.0671 GB of memory, found 0 GB available$"):
        require_memory(memory.UNCHECKED + 1, "much")


def test_available_memory_is_the_least_of_all_limits(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:  3000 kB\n",
        "/sys/fs/cgroup/memory.max": "5000000\n",
        "/sys/fs/cgroup/memory.current": "4500000\n",
        "/sys/fs/cgroup/memory.stat": "active_file 7\ninactive_file 100000\n",
    }
    monkeypatch.setattr(memory, "_lines", lambda path: files.get(path, "").splitlines())
    assert available_memory() == 600_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert available_memory() == 3000 * 1024
