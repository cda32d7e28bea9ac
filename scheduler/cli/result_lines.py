"""A run's results as JSON lines."""

from collections.abc import Mapping
from pathlib import Path

from scheduler.cli.context import Service
from scheduler.cli.printing import json_line
from scheduler.cli.results import shown
from scheduler.domain.errors import Refused
from scheduler.store.connect import snapshot
from scheduler.store.results_read import Wanted, results


class OutNotWritable(Refused):
    """There can be no results where they are wanted."""

    def __init__(self, out: Path, *, reason: str) -> None:
        super().__init__(f"results cannot be written to {out}: {reason}; give another --out")
        self.out = out


def check_out(out: Path) -> None:
    """See to it that `write_results` will find room at *out*, before anything is paid for.

    Raises:
        OutNotWritable: it would not.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _part(out).touch()
    except OSError as error:
        raise OutNotWritable(out, reason=error.strerror or str(error)) from None


def write_results(service: Service, scope: str, out: Path, names: Mapping[str, str]) -> int:
    """Write the results of *scope* to *out*, whole or not at all; how many.

    `job_id` is the document's own: its path, which *names* has by the job's id; of a document
    that was of an earlier run, the id without what was put before it to keep runs apart.
    """
    prefix = f"{scope.rpartition('/')[2]}:"
    part = _part(out)
    count = 0
    with snapshot(service.engine) as conn, part.open("w", encoding="utf-8") as file:
        for line in results(conn, Wanted(scope=scope)):
            row = shown(line)
            row["job_id"] = names.get(row["job_id"]) or row["job_id"].removeprefix(prefix)
            file.write(json_line(row) + "\n")
            count += 1
    part.replace(out)
    return count


def _part(out: Path) -> Path:
    return out.with_name(out.name + ".part")
