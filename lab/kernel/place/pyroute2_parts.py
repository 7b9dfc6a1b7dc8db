"""Imports modules of pyroute2 one by one: the package itself imports all of them, 0.1 s more than the lab needs."""

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


def import_parts_only() -> None:
    """To be called before `from pyroute2.PART import ...`: only PART is imported then, and what that part needs.

    The package is not executed until somebody asks it for a name that is no part, such as `pyroute2.IPRoute`.
    """
    if "pyroute2" in sys.modules or (spec := find_spec("pyroute2")) is None:
        return
    package = module_from_spec(spec)
    vars(package)["__getattr__"] = lambda name: _found(package, name)
    sys.modules["pyroute2"] = package


def _found(package: ModuleType, name: str) -> Any:  # noqa: ANN401 - whatever the package has of this name
    """What module `__getattr__` (PEP 562) returns."""
    if find_spec(f"{package.__name__}.{name}") is not None:
        return importlib.import_module(f"{package.__name__}.{name}")
    del vars(package)["__getattr__"]
    assert package.__spec__ is not None
    assert package.__spec__.loader is not None
    package.__spec__.loader.exec_module(package)
    return getattr(package, name)
