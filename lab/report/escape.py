"""What comes from outside, as it may be shown: the one place that takes from a text what a terminal would act on.

Outside is all that this machine's other programs, an endpoint or a file may have chosen: names, paths, errors, log
lines, messages of other libraries that quote them. What does not print (`str.isprintable`: control characters, ESC and
the 8-bit CSI and OSC among them, direction overrides, zero-width and line separators, lone surrogates) is spelled out.
"""

import json

SHOWN = 300
"""Characters shown of a text that a program gave: a log line or an error may be as long as it likes."""


def plain(text: str) -> str:
    """What a program or a file said, in one line that no terminal acts on: an escape is written as `\\x1b`."""
    shown = escaped(text[:SHOWN])
    return shown if len(text) <= SHOWN else f"{shown} ..."


def escaped(text: str, keep: str = "") -> str:
    """All of it; `keep` are characters that are ours and stay, such as the line feeds of a page."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _spelled(each) for each in text)


def escaped_json(text: str) -> str:
    """The same JSON document: only within a string can stand what does not print, and JSON has a spelling for it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def encodable(text: str) -> str:
    """With lone surrogates spelled out, as names of files have that are no UTF-8 (PEP 383): JSON cannot hold one."""
    return text.encode(errors="backslashreplace").decode()


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
