"""The house stands as drawn: storeys, doors, purity, one test module a module, and no room without a name."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for path in (ROOT / "lab").rglob("*.py"))

STOREYS = [
    {"tcp", "errors", "syscalls", "version"},
    {"spec"},
    {"evidence"},
    {"forecast"},
    {"reason", "run_format"},
    {"verdict"},
    {"wire", "proof"},
    {"store", "pcap", "kernel", "scenario", "remedy"},
    {"testbed", "report"},
    {"observer"},
    {"experiment"},
    {"doctor", "watch", "comparison", "limits", "sweep"},
    {"cli"},
]
"""From the ground up. A room knows itself and lower storeys; neighbours do not know each other."""

KNOWN_NEIGHBOURS = {("store", "pcap")}
"""A run directory holds a capture file."""

PURE = {"tcp", "syscalls", "spec", "evidence", "forecast", "reason", "verdict", "wire", "proof", "scenario", "remedy"}
IMPURE_MODULES = {"os", "socket", "time", "pathlib", "random", "subprocess", "threading", "select", "mmap", "ctypes"}

KERNEL_STOREYS = [{"procfs"}, {"place"}, {"sockets", "capture"}, {"processes"}, {"snapshots", "self_test"}]
"""The same inside lab.kernel, of its folders and modules."""

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


def room(path: Path) -> str:
    return path.relative_to(ROOT / "lab").parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "lab":
            yield from (f"lab.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def storey(name: str) -> int:
    return next(index for index, rooms in enumerate(STOREYS) if name in rooms)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


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
            assert storey(other) < storey(own), f"{own} may not know {other}"


def kernel_storey(name: str) -> int:
    return next(index for index, names in enumerate(KERNEL_STOREYS) if name in names)


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) == "kernel" and p.parent.name != "lab"], ids=named)
def test_a_folder_of_the_kernel_imports_only_itself_and_lower_storeys(path: Path) -> None:
    own = path.relative_to(ROOT / "lab/kernel").parts[0].removesuffix(".py")
    if own == "__init__":
        assert not list(imports(path))
        return
    for module in imports(path):
        if module.startswith("lab.kernel."):
            other = module.split(".")[2]
            assert other == own or kernel_storey(other) < kernel_storey(own), f"{own} may not know {other}"


MIRRORED = [path for name in ("", "/processes", "/sockets") for path in (ROOT / f"lab/kernel{name}").glob("[a-z]*.py")]


@pytest.mark.parametrize("path", sorted(MIRRORED), ids=named)
def test_a_module_of_the_kernel_has_a_test_module(path: Path) -> None:
    folder = ROOT / "tests" / path.parent.relative_to(ROOT / "lab")
    assert (folder / f"test_{path.name}").exists()


@pytest.mark.parametrize("package", ["kernel", "kernel/processes", "kernel/sockets"])
def test_the_map_of_a_package_names_all_that_is_in_it(package: str) -> None:
    folder = ROOT / "lab" / package
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()), clean=False) or ""
    mapped = {line.split()[0].rstrip("/") for line in text.splitlines() if line.startswith("    ")}
    assert mapped == {path.stem for path in folder.iterdir() if not path.name.startswith("__")}


def class_names(path: Path) -> Iterator[str]:
    """Of classes, and of types that have a name of their own."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.ClassDef():
                yield node.name
            case ast.Assign(targets=[ast.Name() as target]) | ast.AnnAssign(target=ast.Name() as target):
                if not target.id.isupper() and target.id[0].isupper():
                    yield target.id


def test_a_class_of_the_kernel_has_a_name_that_no_other_class_has() -> None:
    names = Counter(name for path in MODULES for name in class_names(path))
    own = {name for path in MODULES if room(path) == "kernel" for name in class_names(path)}
    assert not {name for name in own if names[name] > 1}


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
