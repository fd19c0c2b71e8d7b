"""Paths of the files that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
CONF, SCRIPTS, GOLDEN = ROOT / "conf", ROOT / "scripts", ROOT / "tests" / "golden"
SHARED = ROOT.parent / "shared"  # CSI that this project did not simulate; tests skip where it is missing
