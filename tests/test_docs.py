"""The documentation refers to files, tests, commands and Python names that exist."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from unfolded_ogamp.commands.main import options
from unfolded_ogamp.system import DEFAULT, system

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def test_there_are_pages() -> None:
    assert {"README.md", "theory.md", "network.md", "reproduction.md"} <= {page.name for page in PAGES}


@EVERY_PAGE
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    relative = [link for link in links if "://" not in link]
    assert [link for link in relative if not (page.parent / link).exists()] == []


@EVERY_PAGE
def test_links_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^):#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if link[1] not in anchors(page.parent / link[0] if link[0] else page)] == []


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub forms them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@EVERY_PAGE
def test_named_tests_exist(page: Path) -> None:
    """As `tests/FILE.py::test_name`, or `::test_name` for the file named before."""
    content, missing = "", []
    for file, name in re.findall(r"`(tests/[\w/]+\.py)?(?:::(test_\w+))?`", page.read_text(encoding="utf-8")):
        if file:
            content = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else ""
        if (file and not content) or (name and f"def {name}(" not in content):
            missing.append(f"{file}::{name}")
    assert missing == []


@EVERY_PAGE
def test_python_blocks_import_names_that_exist(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("unfolded_ogamp"):
                module = importlib.import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@EVERY_PAGE
def test_commands_take_the_arguments(page: Path) -> None:
    lines = re.findall(r"python scripts/(\w+)\.py([^`\n]*)", page.read_text(encoding="utf-8"))
    for command, rest in lines:
        arguments = [word for word in shlex.split(rest, comments=True) if "=" in word]
        if arguments:
            options(command, system(DEFAULT), arguments)
