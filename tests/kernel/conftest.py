"""One pair of hosts for the tests that leave it as it was."""

from collections.abc import Iterator

import pytest

from lab.kernel.place.netns import Namespace
from lab.spec import Pair
from tests.kernel.hosts import cabled


@pytest.fixture(scope="session")
def hosts() -> Iterator[Pair[Namespace]]:
    with cabled() as both:
        yield both
