"""Documents in bulk, from two processes at once."""

import threading

from sqlalchemy import Engine, func, select, text

from scheduler.store.documents import Document, Key, add_documents
from scheduler.store.tables.jobs import document


def documents(*names: str) -> dict[Key, Document]:
    return {
        (1, name.encode().ljust(32)): Document(
            name.encode().ljust(32), 1, 1, name, None, "public", b"", b""
        )
        for name in names
    }


def test_known_and_new_documents_have_ids(engine: Engine) -> None:
    with engine.begin() as conn:
        first = add_documents(conn, documents("a", "b"))
        second = add_documents(conn, documents("b", "c"))

    assert second[(1, b"b".ljust(32))] == first[(1, b"b".ljust(32))]
    assert len(set(first.values()) | set(second.values())) == 3


def test_a_document_that_another_process_adds_at_the_same_time_is_taken_from_it(
    engine: Engine,
) -> None:
    found: dict[Key, int] = {}

    def add() -> None:
        with engine.begin() as conn:
            found.update(add_documents(conn, documents("b", "a", "c")))

    with engine.begin() as conn:
        ours = add_documents(conn, documents("a", "b"))
        other = threading.Thread(target=add)
        other.start()
        # The other one is at the same document before this one's transaction ends.
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while conn.execute(waits).scalar_one() == 0 and other.is_alive():
            pass
    other.join(60)

    assert ours.items() <= found.items()
    with engine.connect() as conn:
        assert conn.execute(select(func.count()).select_from(document)).scalar_one() == 3
