"""What may be sent to a terminal."""

import io
import sys


def harmless(text: str, *, keep: str = "") -> str:
    r"""*text* with a `?` for each character that a terminal would obey, save those in *keep*.

    Errors and names that came from outside may hold anything.

    >>> harmless("down\n\x1b[2Jfor \u202egood")
    'down??[2Jfor ?good'
    """
    return "".join(char if char.isprintable() or char in keep else "?" for char in text)


def print_any_text() -> None:
    """Have stdout take every character, whatever the locale's encoding.

    A file or a pipe gets UTF-8, which is what JSON is in; a terminal what it can show, and a
    `?` for the rest.
    """
    out = sys.stdout
    if not isinstance(out, io.TextIOWrapper) or out.encoding.lower() in ("utf-8", "utf8"):
        return
    if out.isatty():
        out.reconfigure(errors="replace")
    else:
        out.reconfigure(encoding="utf-8")
