"""Paths that a command is given."""

import os
from pathlib import Path
from typing import Any

import click


class ToBeWritten(click.Path):
    """A file that the command will write; its folder is made before the work begins."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path.  Fails where nothing could be written to it."""
        path = Path(super().convert(value, param, ctx))  # type: ignore[arg-type] # it is no bytes
        folder = path.absolute().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.fail(f"the folder {folder} cannot be made: {error.strerror}", param, ctx)
        if not os.access(folder, os.W_OK | os.X_OK):
            self.fail(f"nothing can be written in {folder}", param, ctx)
        return path


WRITTEN = ToBeWritten()
