"""Signed notes of where every stream stands, kept outside the database.

Whoever can change everything in a database can also make a whole new chain, or cut off its
end and its head.  A checkpoint, signed with a key that the database does not have and kept
elsewhere, shows both.
"""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from scheduler.compliance.chain import Head
from scheduler.domain.errors import Broken, Refused
from scheduler.domain.evidence import canonical

# Signed with the rest, so that no other signature by this key can pass for a checkpoint's.
FORMAT = "apportion-checkpoint-1"


class BadCheckpoint(Refused):
    """A file is no checkpoint, or no key."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; give a file that `apportion audit checkpoint` wrote")
        self.what = what


class BadKey(Refused):
    """A text or file is no Ed25519 key."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is no Ed25519 key; `apportion audit key` prints the right one")
        self.what = what


class CheckpointForged(Broken):
    """The checkpoint was not signed by the key that it is held against, or was altered since."""

    def __init__(self, *, public_key: str) -> None:
        super().__init__(
            f"the checkpoint is not signed by the key {public_key}: it was altered, or is"
            " another installation's"
        )
        self.public_key = public_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where every stream stood at *made_at*."""

    made_at: str
    heads: Mapping[str, Head]

    def body(self) -> dict[str, Any]:
        heads = {
            stream: {"seq": seq, "digest": digest.hex()}
            for stream, (seq, digest) in self.heads.items()
        }
        return {"format": FORMAT, "made_at": self.made_at, "heads": heads}


def sign(heads: Mapping[str, Head], *, at: datetime, key: Ed25519PrivateKey) -> str:
    """A checkpoint of *heads* as JSON text, with its signature and the key that proves it."""
    body = Checkpoint(made_at=at.isoformat(timespec="seconds"), heads=heads).body()
    signature = base64.b64encode(key.sign(canonical(body).encode())).decode()
    signed = body | {"public_key": public_text(key.public_key()), "signature": signature}
    return json.dumps(signed, indent=2, sort_keys=True) + "\n"


def read_checkpoint(text: str | bytes, *, public_key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint in *text* (a file's bytes will do), if *public_key* proves it.

    The key that the file itself names proves nothing: a forger would name his own.

    Raises:
        BadCheckpoint: it is none.
        CheckpointForged: the signature does not hold.
    """
    try:
        said = json.loads(text)
        signature = base64.b64decode(said["signature"], validate=True)
        checkpoint = Checkpoint(
            made_at=said["made_at"],
            heads={
                stream: (int(head["seq"]), bytes.fromhex(head["digest"]))
                for stream, head in said["heads"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadCheckpoint("the file is no checkpoint") from None
    try:
        public_key.verify(signature, canonical(checkpoint.body()).encode())
    except InvalidSignature:
        raise CheckpointForged(public_key=public_text(public_key)) from None
    return checkpoint


def open_key(path: Path) -> Ed25519PrivateKey:
    """The signing key in *path*, made there (readable by its owner alone) if there is none.

    Raises:
        BadKey: the file holds something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_key(path)
    key = Ed25519PrivateKey.generate()
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def public_text(key: Ed25519PublicKey) -> str:
    """*key* as people pass it on: its 32 bytes in base64."""
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def read_public(text: str) -> Ed25519PublicKey:
    """The public key in *text*, as `public_text` gives it.

    Raises:
        BadKey: it is none.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError:
        raise BadKey(repr(text)) from None


def read_key(path: Path) -> Ed25519PrivateKey:
    """The signing key in *path*.

    Raises:
        BadKey: there is none.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        raise BadKey(str(path)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(str(path))
    return key
