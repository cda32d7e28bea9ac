"""Paths that a command is given."""

from pathlib import Path
from typing import Any

import click


class ToBeWritten(click.Path):
    """A file that the command will write; its folder must be there before the work begins."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path.  Fails where nothing could be written to it."""
        path = Path(super().convert(value, param, ctx))  # type: ignore[arg-type] # it is no bytes
        if not path.absolute().parent.is_dir():
            self.fail(f"there is no folder {path.parent}; make it first", param, ctx)
        return path


WRITTEN = ToBeWritten()
