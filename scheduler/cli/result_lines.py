"""A run's results as JSON lines."""

from pathlib import Path

from scheduler.cli.context import Service
from scheduler.cli.printing import json_line
from scheduler.cli.results import shown
from scheduler.store.connect import snapshot
from scheduler.store.results_read import Wanted, results


def write_results(service: Service, scope: str, out: Path) -> int:
    """Write the results of *scope* to *out*, whole or not at all; how many.

    `job_id` is the document's own: what was put before it to keep runs apart is left out.
    """
    part = out.with_name(out.name + ".part")
    out.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with snapshot(service.engine) as conn, part.open("w", encoding="utf-8") as file:
        for line in results(conn, Wanted(scope=scope)):
            row = shown(line)
            row["job_id"] = row["job_id"].partition(":")[2]
            file.write(json_line(row) + "\n")
            count += 1
    part.replace(out)
    return count
