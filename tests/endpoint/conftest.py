"""Two endpoints with an identity of their own, gone at the end of each test."""

from collections.abc import Iterator

import pytest

from tests.endpoint.endpoint_stage import Stage, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as both:
        yield both
