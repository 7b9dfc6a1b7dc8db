"""The words for a frame that matters: its comment in Wireshark, and its line in a report."""

from lab.evidence import Event, WireFacts
from lab.spec import Role
from lab.tcp.connection import ProbeKind

SEALED = "last frame before the seal: neither program has accepted a byte since"
"""The comment of that frame; which one it is, is known only when the run has ended."""


def first_zero_window(role: Role) -> str:
    return f"first zero window of the {role}"


def sent_into_closed_window(event: Event) -> str:
    name = "fragment" if event.kind is ProbeKind.SILLY_WINDOW else "probe"
    return f"{name} {event.number} of the {event.role}: {event.kind.format(bytes=event.length)}"


def frame_comments(facts: WireFacts, since: int = 1) -> dict[int, str]:
    """By frame number, from frame `since` on: first zero windows, and what was sent into closed windows."""
    found: dict[int, list[str]] = {}
    for role in Role:
        if first := facts.first_zero_window[role]:
            found.setdefault(first.frame, []).append(f"{first_zero_window(role)}: it has no room for a byte")
    for event in facts.events:
        found.setdefault(event.moment.frame, []).append(sent_into_closed_window(event))
    return {frame: "; ".join(texts) for frame, texts in sorted(found.items()) if frame >= since}
