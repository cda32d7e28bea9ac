"""Who gives a command, as the audit trail names them."""

import getpass
import os


def present_user() -> str:
    """The login name of this process's user, or `uid 1000` where the machine knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container that runs as a number
        return f"uid {os.getuid()}"
