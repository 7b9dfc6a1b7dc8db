"""The endpoint runs in a bare container, at once: it imports the standard library alone, and little of that."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.endpoint.endpoint_stage import ROOT

SOURCES = sorted((ROOT / "lab/endpoint").rglob("*.py"))


def imported(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} has a relative import"
            names.add(node.module or "")
    return names


def test_it_imports_nothing_but_the_standard_library_and_itself() -> None:
    assert len(SOURCES) > 15
    for source in SOURCES:
        for name in imported(source):
            own = name == "lab.endpoint" or name.startswith("lab.endpoint.")
            assert own or name.split(".")[0] in sys.stdlib_module_names, f"{source} imports {name}"


def test_a_behaviour_is_a_page() -> None:
    for source in SOURCES:
        if source.parent.name in ("client", "server"):
            assert len(source.read_text().splitlines()) < 40, source


def test_what_is_slow_to_import_stays_out() -> None:
    show = "import sys, lab.endpoint.host; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", show]
    modules = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    assert not modules & {"argparse", "asyncio", "dataclasses", "inspect", "logging", "pathlib", "subprocess"}
    assert {name for name in modules if name.startswith("lab.")} <= {
        f"lab.endpoint{rest}"
        for rest in ("", ".barrier", ".conversation", ".host", ".job", ".payload", ".play", ".progress")
    }
