"""Which of the database's errors pass by themselves."""

from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_TOO_MUCH: Final = "54"
"""Class of the errors of what is too long or too deep for Postgres, as it will be next time."""


def is_passing(error: DBAPIError) -> bool:
    """Whether the same statements may succeed later.

    So it is where the server is away, has no room, refuses to write since another is the primary
    now, or cut a deadlock or a long wait.
    """
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, OperationalError) and not state.startswith(_TOO_MUCH)


def first_line(error: BaseException) -> str:
    """What the database said, in one line; psycopg's messages have no password, but several."""
    return str(getattr(error, "orig", error)).partition("\n")[0]
