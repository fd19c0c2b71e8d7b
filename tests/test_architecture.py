"""Imports run in one direction, and only listed files import the extras."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

PACKAGE = ROOT / "unfolded_ogamp"

# The parts that each part of the package may import. A part is a folder or a module right under the package.
ALLOWED: dict[str, set[str]] = {
    **{part: set() for part in ("errors", "records")},
    **{part: {"errors"} for part in ("memory", "settings")},
    "files": {"errors", "memory"},
    "physics": {"memory", "records"},
    "operators": {"memory", "records", "physics"},
    "inference": {"records", "physics", "operators"},
    "coarse": {"records", "settings", "physics", "inference"},
    "bounds": {"settings", "physics"},
    "scenes": {"records"},
    "provenance": {"__init__"},
    "evaluation": {"records", "files", "provenance", "scenes"},
    "system": {"errors", "evaluation", "scenes"},
    "pretrained": {"errors", "settings", "files", "provenance", "system"},
    "catalogue": {"errors", "evaluation", "system", "pretrained"},
    "export": {"evaluation", "provenance", "system", "pretrained"},
    "training": {"errors", "records", "settings", "provenance", "evaluation", "scenes", "system", "pretrained"},
    "__init__": {"pretrained"},
}
ALLOWED["commands"] = {*ALLOWED["training"], "files", "catalogue", "export", "training"} - {"records"}

# Systems are above all of these parts: each may import them, and no system imports another.
SYSTEMS = sorted(path.parent.name for path in PACKAGE.glob("*/system.py"))
GENERIC = frozenset(ALLOWED)
ALLOWED |= {system: set(GENERIC - {"__init__"}) for system in SYSTEMS}
COMMANDS_OF_A_SYSTEM = {"commands", "training", "export", "catalogue"}  # only its folder `commands` imports them

# The same inside imaging.
FITTED = {"problem", "sources", "model", "estimate", "phases", "likelihood", "assembly"}
IMAGING: dict[str, set[str]] = {
    **{key: set() for key in ("estimate", "problem", "scenes")},
    **{key: {"problem"} for key in ("phases", "sources")},
    "moments": set(),
    **{key: {"estimate"} for key in ("files", "measured", "confidence")},
    "score": {"estimate", "confidence"},
    "perturbations": {"scenes"},
    "robustness": {"estimate", "score", "perturbations"},
    "evidence": {"problem", "phases"},
    "diagnosis": {"estimate", "problem", "evidence"},
    "model": {"problem", "sources", "moments"},
    "likelihood": {"estimate", "problem", "sources", "moments", "model", "phases"},
    "selfcalibration": {"problem", "sources", "moments", "model", "phases", "likelihood"},
    "blind": {"problem", "sources", "model", "phases", "likelihood"},
    "assembly": FITTED - {"assembly"} | {"moments"},
    "ogamp": FITTED,
    "greedy": FITTED | {"evidence", "blind", "selfcalibration"},
    "baselines": FITTED | {"ogamp"},
    "network": FITTED | {"evidence", "ogamp", "greedy"},
    "catalogue": {"estimate", "ogamp", "greedy", "baselines", "network"},
    "checks": {"files", "greedy", "diagnosis"},
    "figures": {"estimate", "score", "measured"},
    "report": {"estimate", "files", "figures"},
    "study": {"estimate", "scenes", "score", "figures", "ogamp", "greedy", "network"},
    "commands": FITTED
    | {
        "scenes",
        "files",
        "score",
        "robustness",
        "perturbations",
        "measured",
        "ogamp",
        "greedy",
        "network",
        "checks",
        "catalogue",
    }
    | {"figures", "report"},
    "system": {"estimate", "catalogue", "diagnosis", "files", "figures", "greedy", "network", "report", "scenes"}
    | {"score", "study"},
    "__init__": {"estimate", "files", "figures", "greedy", "network", "ogamp", "scenes"},  # the public names
}
MOST_FILES, MOST_LINES = 12, 300  # upper limits of a folder, and of a file

# Third-party packages that only some files may import; all others may use what is installed without extras.
BASE = {"torch", "numpy", "scipy", "safetensors"}
EXTRAS: dict[str, tuple[str, ...]] = {
    "lightning": ("training/",),
    "rich": ("commands/", "imaging/commands/", "imaging/report.py", "evaluation/report.py"),
    "matplotlib": (
        *("evaluation/figures.py", "evaluation/style.py", "imaging/figures/", "imaging/study/", "imaging/report.py"),
        *("system.py", "imaging/system.py"),  # for annotations alone
    ),
    "hydra": ("commands/main.py",),
    "omegaconf": ("commands/main.py",),
    "pylops": ("imaging/baselines/library.py", "imaging/baselines/omp.py"),
    "pyproximal": ("imaging/baselines/fista.py",),
}
BLOCKED = (
    "lightning",
    "pytorch_lightning",
    "hydra",
    "omegaconf",
    "matplotlib",
    "rich",
    "tensorboard",
    "pylops",
    "pyproximal",
)


def imported_modules(source: str, package: str) -> set[str]:
    """Every module that `source`, a file of `package`, imports anywhere in it, in full."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from unfolded_ogamp import data` imports a part of the package, not a name of its __init__.
            modules |= {f"{base}.{alias.name}" for alias in node.names} if base == "unfolded_ogamp" else {base}
    return modules


def part_of(module: str, folder: Path = PACKAGE) -> str:
    """The part of the package, or of a folder right under it, that a module belongs to."""
    names = module.split(".")[1 if folder == PACKAGE else 2 :]
    known = names and ((folder / names[0]).with_suffix(".py").exists() or (folder / names[0]).is_dir())
    return names[0] if known else "__init__"


def package_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def modules_in(path: Path) -> set[str]:
    package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    return imported_modules(path.read_text(encoding="utf-8"), package)


def test_all_ways_to_import_are_seen():
    source = """
import a.b
from unfolded_ogamp import data, load_pretrained
from unfolded_ogamp.physics import csi
from . import near
from .. import up
from ..operators.off_grid import x
def f():
    import hidden
if True:
    from c import d
"""
    assert imported_modules(source, "unfolded_ogamp.networks") == {
        "a.b",
        "unfolded_ogamp.data",
        "unfolded_ogamp.load_pretrained",
        "unfolded_ogamp.physics",
        "unfolded_ogamp.networks",
        "unfolded_ogamp.up",
        "unfolded_ogamp.operators.off_grid",
        "hidden",
        "c",
    }
    assert part_of("unfolded_ogamp.operators.off_grid") == "operators"
    assert part_of("unfolded_ogamp.load_pretrained") == part_of("unfolded_ogamp") == "__init__"


@pytest.mark.parametrize("table", [ALLOWED, IMAGING], ids=["package", "imaging"])
def test_allowed_imports_have_no_cycle(table):
    remaining = {part: parts - {"__init__"} for part, parts in table.items()}
    while remaining:
        bottom = {part for part, parts in remaining.items() if not parts & remaining.keys()}
        assert bottom, f"cycle among {sorted(remaining)}"
        remaining = {part: parts for part, parts in remaining.items() if part not in bottom}


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_in_one_direction(path):
    own = [module for module in modules_in(path) if module.split(".")[0] == "unfolded_ogamp"]
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert {part_of(module) for module in own} - {name} <= ALLOWED[name]
    if name == "imaging":
        part = path.relative_to(PACKAGE).parts[1].removesuffix(".py")
        inside = {part_of(module, PACKAGE / name) for module in own if part_of(module) == name}
        assert inside - {part} <= IMAGING[part] | {"__init__"}


def test_folders_and_files_are_small():
    crowded = [path for path in PACKAGE.rglob("*/") if len(list(path.glob("*.py"))) > MOST_FILES + 1]  # and __init__
    long = [path for path in package_files() if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES]
    assert not crowded + long


def test_inference_uses_only_the_contract_of_operators():
    modules = {module for path in (PACKAGE / "inference").glob("*.py") for module in modules_in(path)}
    assert {module for module in modules if "operators" in module} == {"unfolded_ogamp.operators"}


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_extras_stay_where_they_belong(path):
    name = path.relative_to(PACKAGE).as_posix()
    used = {module.split(".")[0] for module in modules_in(path)} - sys.stdlib_module_names - {"unfolded_ogamp"}
    allowed = BASE | {extra for extra, places in EXTRAS.items() if name.startswith(places)}
    assert used <= allowed


def test_every_part_is_listed():
    for folder, table in ((PACKAGE, ALLOWED), (PACKAGE / "imaging", IMAGING)):
        assert {path.relative_to(folder).parts[0].removesuffix(".py") for path in folder.rglob("*.py")} == table.keys()


def test_generic_code_imports_no_system_and_no_system_imports_another():
    assert SYSTEMS
    for part, allowed in ALLOWED.items():
        assert not allowed & set(SYSTEMS), part


@pytest.mark.parametrize("system", SYSTEMS)
def test_only_the_commands_of_a_system_import_what_commands_need(system):
    for path in (PACKAGE / system).rglob("*.py"):
        if "commands" not in path.relative_to(PACKAGE).parts:
            assert not {part_of(module) for module in modules_in(path)} & COMMANDS_OF_A_SYSTEM, path


def test_library_needs_no_extras(tmp_path):
    """In a clean interpreter without them: import all but the parts that use them, load a network and estimate."""
    program = f"""
import importlib, importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
for part in {sorted(ALLOWED.keys() - {"training", "commands", "__init__"})!r}:
    importlib.import_module("unfolded_ogamp." + part)

import torch
from unfolded_ogamp.export import export_network
from unfolded_ogamp.imaging.files.csi import load_csi, save_csi
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.pretrained import ExportDetails
torch.set_num_threads(1)
network = UnfoldedOGAMP(NetworkSettings(blocks=1, first_exit=1, layers=1))
export_network(network, "network", ExportDetails({{}}, 0, {{"commit": None, "unfolded_ogamp": None}}, 0.0, {{}}))
save_csi("scene.npz", *Scenario(n_tx=6, n_rx=5, pixels=(6, 6)).draw(1, torch.Generator().manual_seed(0)))

from unfolded_ogamp import load_pretrained
file = load_csi("scene.npz")
estimate = load_pretrained("network")(file.csi, file.array, file.grid)
assert float(estimate.residual[0]) < float(file.csi.value.abs().square().mean())
print("estimated", *sorted(set({BLOCKED!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "estimated\n", done.stderr
