"""The control bits are those on the wire."""

import pytest
from scapy.layers.inet import TCP

from lab.tcp.segment import ControlBits


@pytest.mark.parametrize("bit", list(ControlBits))
def test_each_control_bit_is_where_scapy_has_it(bit: ControlBits) -> None:
    letter = {"ECE": "E", "CWR": "C"}.get(bit.name or "", (bit.name or "")[0])
    assert int(TCP(flags=letter).flags) == bit
