"""An audit reads a database of any size in the same memory."""

import tracemalloc
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from scheduler.store.audit_read import all_records
from scheduler.store.evidence import append

RECORDS, BYTES = 800, 60_000
"""Of some 200 calls each."""


@pytest.fixture
def measured() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("measured")
def test_records_are_never_all_in_memory(conn: Connection) -> None:
    for _ in range(RECORDS // 100):
        append(conn, stream="work-1", kind="k", bodies=["x" * BYTES] * 100)
    tracemalloc.reset_peak()

    assert sum(1 for _ in all_records(conn)) == RECORDS
    assert tracemalloc.get_traced_memory()[1] < RECORDS * BYTES / 3
