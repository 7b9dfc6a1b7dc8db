"""No fault at all: the control. What differs after it, differs by the campaign's own doing."""

from tests.campaign.faults import PLAYED, Fault
from tests.campaign.scene import Scene


def none(_: Scene) -> None:
    """Nothing happens."""


FAULTS = (Fault("none", none, PLAYED),)
