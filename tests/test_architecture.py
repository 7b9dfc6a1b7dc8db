"""The house stands as drawn: storeys, doors, purity, one name and one test module each, and pages that are true."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAB = ROOT / "lab"
MODULES = sorted(LAB.rglob("*.py"))
PAGES = sorted((ROOT / "docs").glob("*.md"))

STOREYS = [
    {"tcp", "errors", "version", "syscalls", "installation"},
    {"spec"},
    {"evidence"},
    {"forecast"},
    {"reason", "run_format"},
    {"verdict"},
    {"wire", "proof"},
    {"store", "pcap", "kernel", "scenario", "remedy"},
    {"testbed", "report", "foretelling"},
    {"observer"},
    {"experiment"},
    {"playing"},
    {"doctor", "watching", "comparison", "limits", "sweep"},
    {"cli"},
]
"""From the ground up. A room knows itself and lower storeys; neighbours do not know each other."""

KERNEL = [{"procfs"}, {"place"}, {"sockets", "capture"}, {"processes"}, {"snapshots", "self_test"}]
"""The same inside `lab/kernel`."""

KNOWN_NEIGHBOURS = {("store", "pcap")}
"""A run directory holds a capture file."""

PURE = {
    "errors", "version", "syscalls", "tcp", "spec", "evidence", "forecast", "reason", "run_format", "verdict", "wire",
    "proof", "scenario", "remedy",
}  # fmt: skip
IMPURE_MODULES = {"os", "socket", "time", "pathlib", "random", "subprocess", "threading", "select", "mmap", "ctypes"}

DOORS = {
    "pyroute2": {"kernel"},
    "scapy": {"kernel"},
    "docker": {"testbed", "doctor"},
    "subprocess": {"testbed", "doctor", "sweep"},
    "click": {"cli"},
    "rich": {"cli", "report"},
    "msgspec": {"store", "sweep", "cli"},
    "numpy": {"pcap"},
    "duckdb": {"sweep"},
    "dask": {"sweep"},
    "distributed": {"sweep"},
    "altair": {"report"},
    "zstandard": {"pcap"},
}
NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "misc"}

CATALOGUES = {
    "scenario": "tests/scenario/test_scenario.py looks at every scenario",
    "remedy": "tests/remedy/test_remedy.py looks at every remedy",
    "endpoint/client": "tests/remedy/test_remedy.py: a scenario or a remedy names every behaviour, and tests play it",
    "endpoint/server": "likewise",
}
"""Folders whose modules are entries of a catalogue, found there and tested all alike: by whom."""
NO_ENTRIES = {"remedy/trial"}
"""A module of such a folder that is none."""


def room(path: Path) -> str:
    return path.relative_to(LAB).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "lab":
            yield from (f"lab.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def storey(name: str, storeys: list[set[str]]) -> int:
    found = [index for index, rooms in enumerate(storeys) if name in rooms]
    assert found, f"{name} is on no storey"
    return found[0]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_entry(path: Path) -> bool:
    """Whether the module is an entry of a catalogue."""
    relative = path.relative_to(LAB)
    name = str(relative.with_suffix(""))
    return str(relative.parent) in CATALOGUES and path.stem != "__init__" and name not in NO_ENTRIES


INSIDE = [path for path in MODULES if room(path) not in ("__init__", "__main__", "endpoint")]


@pytest.mark.parametrize("path", INSIDE, ids=named)
def test_a_room_imports_only_itself_and_lower_storeys(path: Path) -> None:
    own = room(path)
    for module in imports(path):
        if not module.startswith("lab."):
            continue
        other = module.split(".")[1]
        assert other != "endpoint", "the endpoints stand apart"
        if other != own and (own, other) not in KNOWN_NEIGHBOURS:
            assert storey(other, STOREYS) < storey(own, STOREYS), f"{own} may not know {other}"


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) == "kernel" and p.parent != LAB], ids=named)
def test_inside_the_kernel_room_a_folder_imports_only_itself_and_lower_ones(path: Path) -> None:
    own = path.relative_to(LAB / "kernel").parts[0].removesuffix(".py")
    for module in imports(path):
        parts = module.split(".")
        if parts[:2] == ["lab", "kernel"] and len(parts) > 2 and parts[2] != own:
            assert storey(parts[2], KERNEL) < storey(own, KERNEL), f"{own} may not know {parts[2]}"


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) == "endpoint"], ids=named)
def test_an_endpoint_imports_nothing_else_of_the_lab(path: Path) -> None:
    for module in imports(path):
        assert not module.startswith("lab.") or module.startswith("lab.endpoint")


@pytest.mark.parametrize("path", INSIDE, ids=named)
def test_a_library_is_imported_behind_its_door_only(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        if top in DOORS:
            assert room(path) in DOORS[top], f"{top} belongs to {DOORS[top]}"


@pytest.mark.parametrize("path", [p for p in INSIDE if room(p) in PURE], ids=named)
def test_a_pure_room_does_no_input_or_output(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & IMPURE_MODULES


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_opens_with_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_room_is_nameless(path: Path) -> None:
    assert path.stem not in NAMELESS


def test_no_heavy_library_is_imported_before_it_is_needed() -> None:
    """`lab --help` answers at once: the door itself imports click and nothing heavier."""
    heavy = {"pyroute2", "scapy", "docker", "rich", "msgspec", "numpy", "duckdb", "altair", "distributed"}
    for path in (ROOT / "lab/__main__.py", ROOT / "lab/cli/__init__.py"):
        assert not {module.split(".")[0] for module in imports(path)} & heavy


def test_every_storey_has_rooms_that_are_there() -> None:
    there = {room(path) for path in MODULES} - {"__init__", "__main__", "endpoint"}
    assert set().union(*STOREYS) == there
    inside = {p.relative_to(LAB / "kernel").parts[0].removesuffix(".py") for p in (LAB / "kernel").rglob("*.py")}
    assert set().union(*KERNEL) == inside - {"__init__"}


# One test module for every module, and one thing for every name.


def module_of_tests(path: Path) -> Path:
    """`lab/a/b.py` is tested by `tests/a/test_b.py`, the package `lab/a` by `tests/a/test_a.py`."""
    relative = path.relative_to(LAB)
    package = relative.parent.name or "lab"
    name = {"__init__": package, "__main__": "main"}.get(path.stem, path.stem)
    return ROOT / "tests" / relative.parent / f"test_{name}.py"


def does_nothing(path: Path) -> bool:
    """Whether the module is a docstring and nothing else."""
    return all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body)


@pytest.mark.parametrize("path", [p for p in MODULES if not is_entry(p) and not does_nothing(p)], ids=named)
def test_every_module_has_a_test_module_of_its_name(path: Path) -> None:
    found = module_of_tests(path)
    assert found.is_file(), f"{named(path)} is not tested by {named(found)}"
    assert re.search(r"^(async )?def test_\w+", found.read_text(), re.MULTILINE), f"{named(found)} tests nothing"


def definitions() -> Iterator[tuple[str, Path]]:
    """The classes and type aliases of every module; constants are in capitals and may have a neighbour's name."""
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            names = [node.name] if isinstance(node, ast.ClassDef) else []
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            names += [each.id for each in targets if isinstance(each, ast.Name)]
            yield from ((name, path) for name in names if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", name))


def test_no_class_or_alias_name_is_used_twice() -> None:
    found = defaultdict(list)
    for name, path in definitions():
        found[name].append(named(path))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


# The pages and the maps are true.


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem == "__init__"], ids=named)
def test_a_package_maps_its_modules(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    modules = [each for each in path.parent.glob("*.py") if not each.stem.startswith("__") and not is_entry(each)]
    packages = [each for each in path.parent.iterdir() if (each / "__init__.py").is_file()]
    missing = sorted(
        each.stem
        for each in (*modules, *packages)
        if not re.search(rf"(?m)`{each.stem}/?`|^ *{each.stem}/? {{2}}", docstring)
    )
    assert not missing, f"{named(path)} does not say what {', '.join(missing)} is for"


def drawn(storeys: list[set[str]]) -> str:
    """From the top down; `*` for a pure room."""
    lines = ("  ".join(f"{name}*" if name in PURE else name for name in sorted(rooms)) for rooms in reversed(storeys))
    return "\n".join(lines)


@pytest.mark.parametrize(("mark", "storeys"), [("storeys", STOREYS), ("floors", KERNEL)])
def test_the_page_draws_the_storeys(mark: str, storeys: list[set[str]]) -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    found = re.search(rf"<!-- {mark}: .+? -->\n```text\n(.*?)\n?```", page, re.DOTALL)
    assert found is not None
    assert found[1] == drawn(storeys)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_on_a_page_exists(page: Path) -> None:
    said = re.findall(r"`((?:lab|tests|scripts|docs|images)/[^`\s]*)`", page.read_text())
    assert sorted({path for path in said if not list(ROOT.glob(path.rstrip("/")))}) == []
