"""All cases, found in the folder `cases`: a new file there is a new family, and nothing else needs to know."""

import importlib
import pkgutil

from tests.corpus import cases
from tests.corpus.case import Case


def all_cases() -> tuple[Case, ...]:
    """Every case, by file and then as written. A name is given once."""
    found: list[Case] = []
    for info in pkgutil.iter_modules(cases.__path__):
        found += importlib.import_module(f"{cases.__name__}.{info.name}").CASES
    names = [case.name for case in found]
    assert len(set(names)) == len(names), "two cases of one name"
    return tuple(found)
