"""No fault at all: the control. A difference after it is made by the campaign itself."""

from tests.campaign.faults import PLAYED, Fault
from tests.campaign.scene import Scene


def none(_: Scene) -> None:
    """Nothing happens."""


FAULTS = (Fault("none", none, PLAYED),)
