"""Documents that a message names by path: read from under the configured roots alone."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.domain.errors import Refused


class BadPath(Refused):
    """A file that a message names cannot be taken."""

    def __init__(self, *, path: str, reason: str) -> None:
        super().__init__(f"path {path[:300]!r} {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Where documents may be read from.

    Attributes:
        directories: resolved; a relative path is looked for in each, in this order.
        bytes_max: the longest file that is taken.
    """

    directories: Sequence[Path] = ()
    bytes_max: int

    def read(self, path: str) -> tuple[str, Path]:
        """The text at *path*, and the file it was read from, with no link left in it.

        Raises:
            BadPath: it is outside of the roots, is no readable file, too long, or not UTF-8.
        """
        if not self.directories:
            raise BadPath(path=path, reason="cannot be read: set APPORTION_ROOTS, or send text")
        if "\0" in path:
            raise BadPath(path=path, reason="has the character NUL")
        file = self._inside(path)
        try:
            content = self._content(file)
        except OSError as error:
            raise BadPath(path=path, reason=f"cannot be read: {error.strerror}") from None
        if content is None:
            raise BadPath(path=path, reason=f"is no file of at most {self.bytes_max} bytes")
        return text_of(content, path=path), file

    def _inside(self, path: str) -> Path:
        # Links are followed first: what counts is where the file is, not what it is called.
        for root in self.directories:
            try:
                file = Path(os.path.realpath(root / path, strict=True))
                str(file).encode()  # a name that is no text cannot be stored
            except (OSError, UnicodeEncodeError):
                continue
            if any(file.is_relative_to(allowed) for allowed in self.directories):
                return file
        # The same words for a file elsewhere as for none: a message must not sound out the disk.
        raise BadPath(path=path, reason="is no file under APPORTION_ROOTS")

    def _content(self, file: Path) -> bytes | None:
        # NOFOLLOW: the name may have become a link since; NONBLOCK: a pipe would wait for ever.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_size > self.bytes_max:
                return None
            content = opened.read(self.bytes_max + 1)
        return content if len(content) <= self.bytes_max else None


def files_below(root: Path) -> tuple[list[Path], list[BadPath]]:
    """The files in *root* and its directories, in order; and directories that cannot be read.

    What begins with a dot is some program's, and no document.  Pipes and the like are left out,
    since they would be waited for; a link to nothing is told of when it is read.
    """
    files: list[Path] = []
    closed: list[BadPath] = []

    def note(error: OSError) -> None:
        reason = f"cannot be read: {error.strerror}"
        closed.append(BadPath(path=str(error.filename), reason=reason))

    for place, inner, names in os.walk(root, onerror=note):
        inner[:] = [name for name in inner if not name.startswith(".")]
        files += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if _may_be_document(file)), closed


def _may_be_document(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return True


def content_of(file: Path, *, bytes_max: int) -> bytes:
    """What is in *file*, which a person named, and of which no more is read than is allowed.

    Raises:
        BadPath: it cannot be read, or is too long.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(bytes_max + 1)
    except OSError as error:
        raise BadPath(path=str(file), reason=f"cannot be read: {error.strerror}") from None
    if len(content) > bytes_max:
        raise BadPath(path=str(file), reason=f"is longer than {bytes_max} bytes; split it")
    return content


def text_of(content: bytes, *, path: str) -> str:
    """*content* as text.

    Raises:
        BadPath: it is not UTF-8, is empty, or holds a NUL, as binary files do.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadPath(path=path, reason="is not UTF-8 text; convert it first") from None
    if "\0" in text:
        raise BadPath(path=path, reason="has the character NUL; is it a binary file?")
    if not text or text.isspace():
        raise BadPath(path=path, reason="is empty")
    return text
