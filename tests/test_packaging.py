"""Installed packages: the editable install, and the wheel in an environment without the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from places import ROOT


def build(kind: str, source: Path, output: Path) -> Path:
    """The wheel that the build backend makes of a checkout; `kind` is "wheel" or "editable"."""
    backend = tomllib.loads((source / "pyproject.toml").read_text())["build-system"]["build-backend"]
    program = f"import {backend} as backend; print(backend.build_{kind}({str(output)!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output / done.stdout.split()[-1]


def environment(folder: Path, wheel: Path) -> Path:
    """Interpreter of a new environment that holds the contents of a wheel, and the packages that it needs."""
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # a path entry, so that an editable install of this checkout is not active
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


def output_of(python: Path, program: str, folder: Path) -> str:
    """Output of a script in `folder`."""
    script = folder / "script.py"
    script.write_text(program)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run([python, script], cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_script_beside_a_clone_imports_the_package_and_not_the_folder_of_its_name(tmp_path):
    clone = tmp_path / "unfolded_ogamp"
    shutil.copytree(ROOT / "unfolded_ogamp", clone / "unfolded_ogamp", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    python = environment(tmp_path / "environment", build("editable", clone, tmp_path))
    program = "import importlib.util; print(importlib.util.find_spec('unfolded_ogamp').origin)"
    assert output_of(python, program, tmp_path).strip() == str(clone / "unfolded_ogamp" / "__init__.py")


ESTIMATE = """
import torch, unfolded_ogamp
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
network = unfolded_ogamp.load_pretrained()
scene, csi = draw(Scenario(n_tx=8, n_rx=8, pixels=(8, 8)), 1, torch.Generator().manual_seed(0))
estimate = network(csi, scene.array, scene.grid)
assert float(estimate.residual[0]) < 0.1 * float(csi.value.abs().square().mean())
print(unfolded_ogamp.__file__)
"""


@pytest.mark.stress
def test_wheel_alone_loads_the_shipped_network_and_estimates(tmp_path):
    wheel = build("wheel", ROOT, tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    for path in ("py.typed", "checkpoints/unfolded_ogamp/model.safetensors", "conf/train.yaml"):
        assert f"unfolded_ogamp/{path}" in names
    python = environment(tmp_path / "environment", wheel)
    place = Path(output_of(python, ESTIMATE, tmp_path).strip())
    assert place.is_relative_to(tmp_path / "environment")
