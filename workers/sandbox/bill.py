"""The sandbox's own bill: a line per billed call, to hold the service's ledger against."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import orjson

from scheduler.domain.offer import Offer


def whole_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that another process may be writing, without one that has no end yet.

    What a process hands over by one write, others may see the half of.
    """
    with path.open("rb") as lines:
        # Not all lines that end: of one that was seen by halves, the second half would be one.
        yield from takewhile(lambda line: line.endswith(b"\n"), lines)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the bill at *path*, oldest first; none before the first call."""
    return [orjson.loads(line) for line in whole_lines(path)] if path.exists() else []


@dataclass(slots=True)
class Total:
    """Sums over billed calls."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nusd: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Count *row* in."""
        self.calls += 1
        self.input_tokens += row["input_tokens"]
        self.output_tokens += row["output_tokens"]
        self.cost_nusd += row["cost_nusd"]

    def to_dict(self) -> dict[str, int]:
        """As JSON shows it."""
        return {
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_nusd": self.cost_nusd,
        }


@dataclass(slots=True)
class Bill:
    """An append-only JSONL file, and sums over it.

    A line is handed to the system before the call is answered, so it outlives the process
    however that ends; a restart on the same file goes on where it was.
    """

    path: Path
    totals: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    _places: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _size: int = 0
    _file: int = -1

    def open(self) -> None:
        """Open the file, and take in what it holds."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):  # the process died within a write
                    os.ftruncate(self._file, self._size)
                    break
                self._count(orjson.loads(line), len(line))

    def close(self) -> None:
        """Make the file safe against the machine's end too."""
        os.fsync(self._file)
        os.close(self._file)

    def charge(
        self,
        *,
        at: str,
        attempt_key: str,
        request_id: str,
        offer: Offer,
        input_tokens: int,
        output_tokens: int,
        outcome: str,
    ) -> None:
        """Bill one call."""
        row = {
            "at": at,
            "attempt_key": attempt_key,
            "request_id": request_id,
            "model": offer.model,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cost_nusd": _cost_nusd(offer, input_tokens, output_tokens),
            "outcome": outcome,
            "sandbox": True,
        }
        line = orjson.dumps(row) + b"\n"
        os.write(self._file, line)
        self._count(row, len(line))

    def of(self, attempt_key: str) -> list[dict[str, Any]]:
        """What was billed for one attempt, oldest first; empty if nothing."""
        rows = []
        with self.path.open("rb") as lines:
            for place in self._places.get(attempt_key, ()):
                lines.seek(place)
                rows.append(orjson.loads(lines.readline()))
        return rows

    def lines(self) -> bytes:
        """All that was billed, as the file has it."""
        return b"".join(whole_lines(self.path))

    def total(self) -> Total:
        """The sum over all models."""
        total = Total()
        for one in self.totals.values():
            total.calls += one.calls
            total.input_tokens += one.input_tokens
            total.output_tokens += one.output_tokens
            total.cost_nusd += one.cost_nusd
        return total

    def _count(self, row: dict[str, Any], size: int) -> None:
        self.totals[row["model"]].add(row)
        self._places[row["attempt_key"]].append(self._size)
        self._size += size


def _cost_nusd(offer: Offer, input_tokens: int, output_tokens: int) -> int:
    """The price, rounded up to a nUSD; reckoned here anew, as another company would."""
    whole, rest = divmod(
        offer.request_price + offer.input_price * input_tokens + offer.output_price * output_tokens,
        1_000,
    )
    return whole + (rest > 0)
