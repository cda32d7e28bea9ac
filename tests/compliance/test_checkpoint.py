"""A checkpoint proves itself by a key that the database does not have."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scheduler.compliance.checkpoint import (
    BadCheckpoint,
    BadKey,
    CheckpointForged,
    open_key,
    public_text,
    read_checkpoint,
    read_key,
    read_public,
    sign,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEADS = {"plan": (3, b"\1" * 32), "work-1": (0, b"\0" * 32)}
KEY = Ed25519PrivateKey.generate()


def test_what_was_signed_is_read_back() -> None:
    checkpoint = read_checkpoint(sign(HEADS, at=NOON, key=KEY), public_key=KEY.public_key())

    assert checkpoint.heads == HEADS
    assert checkpoint.made_at == "2026-01-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("made_at", "2025-01-01T12:00:00+00:00"),
        ("heads", {}),
        ("heads", {"plan": {"seq": 2, "digest": "01" * 32}}),
        ("signature", "AAAA"),
    ],
)
def test_a_checkpoint_that_was_altered_is_turned_away(field: str, value: object) -> None:
    said = json.loads(sign(HEADS, at=NOON, key=KEY)) | {field: value}

    with pytest.raises(CheckpointForged):
        read_checkpoint(json.dumps(said), public_key=KEY.public_key())


def test_a_checkpoint_that_only_proves_itself_is_turned_away() -> None:
    forged = sign(HEADS, at=NOON, key=Ed25519PrivateKey.generate())

    with pytest.raises(CheckpointForged, match="another installation"):
        read_checkpoint(forged, public_key=KEY.public_key())


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"heads": 1, "signature": ""}', b"\xd6\x00 a picture"]
)
def test_a_file_that_is_no_checkpoint_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadCheckpoint, match="audit checkpoint"):
        read_checkpoint(text, public_key=KEY.public_key())


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "key.pem"

    first, second = open_key(path), open_key(path)

    assert public_text(first.public_key()) == public_text(second.public_key())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_public_key_is_passed_on_as_text() -> None:
    text = public_text(KEY.public_key())

    assert public_text(read_public(text)) == text


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "AAAA" * 30])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadKey, match="audit key"):
        read_public(text)


def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("something else")

    with pytest.raises(BadKey):
        open_key(path)
    with pytest.raises(BadKey):
        read_key(tmp_path / "missing.pem")

    assert path.read_text() == "something else"
