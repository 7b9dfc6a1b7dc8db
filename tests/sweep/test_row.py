"""A row is plain data: it comes back the same from the log of a sweep, from another process and from the table."""

import pickle
from dataclasses import asdict, fields
from pathlib import Path

import msgspec
import pytest

from lab.sweep.row import Row
from tests.sweep.swept import opened, row

ODD = row(
    settings='{"so_rcvbuf": "client=1;server=2"}', client_congestion='a "b", c\n', seconds=0.1 + 0.2, seal_ns=1 << 62
)


def test_a_row_is_the_same_in_another_process() -> None:
    assert pickle.loads(pickle.dumps(ODD)) == ODD


def test_a_row_is_the_same_in_the_log() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ODD), type=Row) == ODD


def test_a_row_is_the_same_in_the_table(tmp_path: Path) -> None:
    with opened(tmp_path) as table:
        table.add(ODD)
        (found,) = table.select("select * from points")
    assert dict(zip((field.name for field in fields(Row)), found, strict=True)) == asdict(ODD)


@pytest.mark.parametrize("field", ["payload", "started_ns", "client_nodelay"])
def test_a_value_of_another_type_is_refused(field: str) -> None:
    line = msgspec.json.encode(asdict(ODD) | {field: "many"})
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.json.decode(line, type=Row)
