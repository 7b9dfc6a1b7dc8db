"""Makes a text from outside safe to show: the only place that removes what a terminal would act on.

Such a text was chosen by another program of this machine, an endpoint or a file: a name, a path, an error, a log line,
or a message of a library that quotes one. Characters that do not print (`str.isprintable`: control characters with ESC
and the 8-bit CSI and OSC, direction overrides, zero-width and line separators, lone surrogates) are spelled out.
"""

import json

SHOWN = 300
"""Characters shown of a text from outside: a log line or an error may have any length."""


def plain(text: str) -> str:
    """A text from outside in one line that no terminal acts on: an escape is written as `\\x1b`."""
    shown = escaped(text[:SHOWN])
    return shown if len(text) <= SHOWN else f"{shown} ..."


def escaped(text: str, keep: str = "") -> str:
    """The whole text, escaped. `keep` are characters that stay, such as the line feeds of a page."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _spelled(each) for each in text)


def escaped_json(text: str) -> str:
    """The same JSON document: a character that does not print can only be in a string, where JSON has an escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def encodable(text: str) -> str:
    """The text with lone surrogates spelled out, as names of files may have them (PEP 383): JSON cannot hold one."""
    return text.encode(errors="backslashreplace").decode()


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
