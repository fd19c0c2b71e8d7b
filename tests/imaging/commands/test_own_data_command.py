"""The table of files whose truth is known, as a user makes it."""

from __future__ import annotations

import numpy as np
import torch
from run_script import run_script

from unfolded_ogamp.imaging.files.csi import save_csi
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario

SCENARIO = Scenario(n_tx=10, n_rx=9, pixels=(8, 8), sparsity=0.05)


def test_table_and_pictures_of_what_is_there(tmp_path, capfd):
    """Also: what is missing or has no truth is skipped and said to be."""
    save_csi(tmp_path / "known.npz", *draw(SCENARIO, 1, torch.Generator().manual_seed(0)))
    save_csi(tmp_path / "unknown.npz", *draw(SCENARIO, 1, torch.Generator().manual_seed(1)), truth=False)
    arguments = [f"folder={tmp_path}", "files=[absent,known,unknown]", f"output={tmp_path / 'out'}"]
    assert run_script("own_data", *arguments, "estimators=[greedy,og_amp_short]") == 0
    lines = capfd.readouterr().out.splitlines()
    assert f"Skipped: {tmp_path / 'absent.npz'}: expected a file, found none" in lines
    assert f"Skipped: {tmp_path / 'unknown.npz'}: no truth_position to compare with" in lines
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["known_greedy.png", "known_og_amp_short.png", "own_data.md"]
    header, ruler, *rows = (tmp_path / "out" / "own_data.md").read_text().splitlines()
    assert header.startswith("| file | estimator | found within lambda / 4 |")
    assert len(rows) == 2
    assert rows[0].startswith("| known | greedy | 3 of 3 | 0 | - |")
    assert all(row.count("|") == header.count("|") for row in (ruler, *rows))


def test_no_estimator_sees_the_truth(tmp_path):
    """A file whose truth is wrong gives the same estimate, and a worse table."""
    scene, csi = draw(SCENARIO, 1, torch.Generator().manual_seed(0))
    save_csi(tmp_path / "right.npz", scene, csi)
    arrays = dict(np.load(tmp_path / "right.npz"))
    np.savez(tmp_path / "wrong.npz", **arrays | {"truth_position": arrays["truth_position"] + 0.3})
    assert run_script("own_data", f"folder={tmp_path}", f"output={tmp_path / 'out'}", "estimators=[greedy]") == 0
    rows = [line.split(" | ") for line in (tmp_path / "out" / "own_data.md").read_text().splitlines()[2:]]
    assert [row[2] for row in rows] == ["3 of 3", "0 of 3"]
    assert rows[0][7] == rows[1][7]  # the residual


def test_nothing_to_work_on_is_one_line(tmp_path, capfd):
    assert run_script("own_data", f"folder={tmp_path}", f"output={tmp_path / 'out'}") == 2
    assert capfd.readouterr().err == f"{tmp_path}: expected CSI files with truth_position, found none\n"
    assert run_script("own_data") == 2
    assert capfd.readouterr().err == "folder: expected folder=VALUE, found none\n"
