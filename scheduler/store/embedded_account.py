"""Whom the embedded Postgres runs as: this process's user, or, since it refuses root, another."""

import os
import pwd
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from scheduler.domain.errors import Refused

NAME = "apportion"


class NoAccount(Refused):
    """Root asked for a server, and there is no system user that it could run as."""

    def __init__(self, *, said: str) -> None:
        super().__init__(
            f"Postgres does not run as root, and the system user `{NAME}` could not be made "
            f"({said}); make it (useradd --system {NAME}), or run as another user"
        )
        self.said = said


def server_account() -> pwd.struct_passwd | None:
    """The system user for root's server, made if it is missing; None where this user will do.

    Raises:
        NoAccount: it is missing and cannot be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        _make_account()
    return pwd.getpwnam(NAME)


def identity(account: pwd.struct_passwd | None) -> tuple[int | None, int | None, list[int] | None]:
    """User, group and further groups for a subprocess of *account*."""
    return (account.pw_uid, account.pw_gid, []) if account else (None, None, None)


def give(path: Path, *, to: pwd.struct_passwd, programs: Path) -> None:
    """Make *path* the account's, and let it through to *path* and to the *programs* it runs.

    On the way there it gets the right to pass (x) alone, never the right to list.  Programs that
    were installed for root's eyes only become readable.
    """
    os.chown(path, to.pw_uid, to.pw_gid)
    _add_mode({*path.parents, *programs.parents}, stat.S_IXOTH)
    if not (programs / "postgres").stat().st_mode & stat.S_IXOTH:
        installed = {programs.parent, *programs.parent.rglob("*")}
        runs = {file for file in installed if file.stat().st_mode & stat.S_IXUSR}
        _add_mode(installed, stat.S_IROTH)
        _add_mode(runs, stat.S_IXOTH)


def _make_account() -> None:
    command = ["useradd", "--system", "--shell=/usr/sbin/nologin", NAME]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise NoAccount(said=str(error)) from None
    # Another process may have made it meanwhile (9: the name is taken).
    if done.returncode not in (0, 9):
        raise NoAccount(said=done.stderr.strip())


def _add_mode(paths: Iterable[Path], bits: int) -> None:
    for path in paths:
        mode = path.stat().st_mode
        if mode & bits != bits:
            path.chmod(mode | bits)
