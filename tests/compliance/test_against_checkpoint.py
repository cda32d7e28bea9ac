"""What the database alone cannot know, a checkpoint outside it does."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from scheduler.compliance.checkpoint import Checkpoint, read_checkpoint, sign
from scheduler.compliance.verification import verify
from scheduler.store.evidence import append, heads
from tests.compliance.tampering import found, tamper


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def held_against(conn: Connection, checkpoint: Checkpoint) -> list[str]:
    findings = verify(conn, checkpoint=checkpoint).findings
    return [f"{finding.where}: {finding.what}" for finding in findings]


@pytest.fixture
def checkpoint(day: Connection, key: Ed25519PrivateKey) -> Checkpoint:
    """Where the day stood, as it was signed and read back."""
    text = sign(heads(day), at=datetime(2026, 11, 24, 9, tzinfo=UTC), key=key)
    return read_checkpoint(text, public_key=key.public_key())


def test_a_chain_that_grew_since_its_checkpoint_holds(
    day: Connection, checkpoint: Checkpoint
) -> None:
    append(day, stream="long", kind="k", bodies=[{"n": 8}])
    append(day, stream="new", kind="k", bodies=[{}])

    assert held_against(day, checkpoint) == []


def test_an_end_that_was_cut_off_with_its_head_shows_against_a_checkpoint(
    day: Connection, checkpoint: Checkpoint
) -> None:
    tamper(day, "DELETE FROM evidence WHERE stream = 'long' AND seq > 5")
    tamper(
        day,
        "UPDATE evidence_head SET seq = 5, digest = (SELECT digest FROM evidence"
        " WHERE stream = 'long' AND seq = 5) WHERE stream = 'long'",
    )

    assert found(day) == []  # the database alone cannot know
    assert held_against(day, checkpoint) == [
        "stream long, record 7: was there on 2026-11-24T09:00:00+00:00, and is gone"
    ]


def test_a_stream_that_vanished_shows_against_a_checkpoint(
    day: Connection, checkpoint: Checkpoint
) -> None:
    tamper(day, "DELETE FROM evidence WHERE stream = 'long'")
    tamper(day, "DELETE FROM evidence_head WHERE stream = 'long'")

    assert found(day) == []
    assert held_against(day, checkpoint)[0].startswith("stream long, record 7: was there")


def test_a_chain_that_was_made_anew_shows_against_a_checkpoint(
    day: Connection, checkpoint: Checkpoint
) -> None:
    tamper(day, "DELETE FROM evidence WHERE stream = 'long'")
    tamper(day, "DELETE FROM evidence_head WHERE stream = 'long'")
    append(day, stream="long", kind="k", bodies=[{"n": -n} for n in range(1, 10)])

    assert found(day) == []
    assert "the chain was made anew" in held_against(day, checkpoint)[0]
