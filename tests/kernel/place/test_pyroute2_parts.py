"""A part of pyroute2 is imported alone, and the whole package is still there for whoever asks for it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PREPARED = "import sys; from lab.kernel.place.pyroute2_parts import import_parts_only; import_parts_only()\n"


def printed(code: str) -> list[str]:
    """In an interpreter that has imported nothing of pyroute2 yet."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_part_comes_without_the_rest() -> None:
    modules = printed(f"{PREPARED}import pyroute2.iproute.linux; print(*sys.modules)")
    assert "pyroute2.iproute.linux" in modules
    assert not {"pyroute2.ndb.main", "pyroute2.ipdb", "pyroute2.ipset"} & set(modules)


def test_a_name_of_the_package_is_the_one_of_the_part() -> None:
    code = "from pyroute2.iproute.linux import IPRoute; import pyroute2; print(pyroute2.IPRoute is IPRoute)"
    assert printed(PREPARED + code) == ["True"]
    assert printed(f"{PREPARED}from pyroute2 import NDB, netns; print(netns.__name__)") == ["pyroute2.netns"]


def test_a_part_is_an_attribute_of_the_package_although_the_package_was_not_executed() -> None:
    code = "import pyroute2; print(pyroute2.netns.setns.__name__, 'pyroute2.ndb' in sys.modules)"
    assert printed(PREPARED + code) == ["setns", "False"]


def test_a_name_that_pyroute2_does_not_have_is_an_attribute_error() -> None:
    code = "import pyroute2; print(hasattr(pyroute2, 'no_such_name'), hasattr(pyroute2, 'no_such_name'))"
    assert printed(PREPARED + code) == ["False", "False"]


def test_a_package_that_has_been_imported_stays_as_it_is() -> None:
    code = "import pyroute2; whole = vars(pyroute2).copy(); import_parts_only(); print(vars(pyroute2) == whole)"
    assert printed(f"from lab.kernel.place.pyroute2_parts import import_parts_only; {code}") == ["True"]
