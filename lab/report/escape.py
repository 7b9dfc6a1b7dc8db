"""Escapes text from outside before it is shown: the one place that removes what a terminal would act on.

Outside text is what other programs of this machine, an endpoint or a file may have chosen: names, paths, errors, log
lines, messages of other libraries that quote them. Every character that does not print (`str.isprintable`) is escaped:
control characters such as ESC and the 8-bit CSI and OSC, direction overrides, zero-width characters, line separators,
lone surrogates.
"""

import json

SHOWN = 300
"""Characters shown of a text from outside: a log line or an error may have any length."""


def plain(text: str) -> str:
    """Text from outside, in one line and cut at SHOWN characters; an ESC is written as `\\x1b`."""
    shown = escaped(text[:SHOWN])
    return shown if len(text) <= SHOWN else f"{shown} ..."


def escaped(text: str, keep: str = "") -> str:
    """The whole text; `keep` are characters that stay, such as the line feeds of a page."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _escape(each) for each in text)


def escaped_json(text: str) -> str:
    """The same JSON document: what does not print can only be within a string, where JSON has an escape for it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def encodable(text: str) -> str:
    """With lone surrogates escaped: JSON cannot hold one, and a file name that is not UTF-8 has them (PEP 383)."""
    return text.encode(errors="backslashreplace").decode()


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
