"""What may be sent to a terminal."""


def harmless(text: str, *, keep: str = "") -> str:
    r"""*text* with a `?` for each character that a terminal would obey, save those in *keep*.

    Errors and names that came from outside may hold anything.

    >>> harmless("down\n\x1b[2Jfor \u202egood")
    'down??[2Jfor ?good'
    """
    return "".join(char if char.isprintable() or char in keep else "?" for char in text)
