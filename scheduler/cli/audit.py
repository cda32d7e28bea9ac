"""`apportion audit`: proves that nobody edited what was decided, done and spent."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from scheduler.cli.context import open_service
from scheduler.cli.paths import WRITTEN
from scheduler.cli.printing import print_json
from scheduler.compliance.checkpoint import (
    BadKey,
    open_key,
    public_text,
    read_checkpoint,
    read_key,
    read_public,
    sign,
)
from scheduler.compliance.verification import Audit, AuditFailed, verify
from scheduler.settings import Settings, read_settings
from scheduler.store.connect import snapshot
from scheduler.store.evidence import heads

KEY_FILE = "audit_key.pem"
NO_LIMIT = 0
"""For a statement's time: an audit of years takes what it takes."""

file = click.Path(exists=True, dir_okay=False, path_type=Path)
key_option = click.option(
    "--key",
    "key_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The signing key's file, made when missing.  [default: APPORTION_HOME/{KEY_FILE}]",
)


@click.group()
def command() -> None:
    """Verify the audit trail, and sign checkpoints of it.

    Every decision and every paid call is a record, chained to the one before by its digest.
    A checkpoint says where the chains stand; kept outside the database, it also shows that
    an end was cut off, or that all was made anew.
    """


@command.command("verify")
@click.option("--checkpoint", "path", type=file, help="Hold the chains against this one, too.")
@click.option(
    "--public-key",
    metavar="BASE64",
    help="The key that proves the checkpoint; this installation's own if not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def verify_(*, path: Path | None, public_key: str | None, as_json: bool) -> None:
    """Go through every chain, plan, call and budget, and name every fault.

    Any edit, deletion, insertion, reordering or truncation is found and named by its place.
    The exit status is 1 if anything is wrong.  It reads only, and sees one instant.
    """
    settings = read_settings()
    checkpoint = None
    if path is not None:
        known = read_public(public_key) if public_key else _own_key(settings)
        checkpoint = read_checkpoint(path.read_bytes(), public_key=known)
    started = time.monotonic()
    with (
        open_service(settings) as service,
        snapshot(service.engine, statement_timeout_s=NO_LIMIT) as conn,
    ):
        audit = verify(conn, checkpoint=checkpoint)
    _print(audit, seconds=time.monotonic() - started, as_json=as_json)
    if audit.findings:
        raise AuditFailed(findings=len(audit.findings))


@command.command("checkpoint")
@click.option(
    "--out",
    required=True,
    type=WRITTEN,
    help="The file to write; keep it where the database's administrators cannot change it.",
)
@key_option
def checkpoint_(*, out: Path, key_path: Path | None) -> None:
    """Sign where every chain stands now, and write that to a file.

    The chains are verified first: what is broken is not signed.  Signing needs the key's file,
    verifying only the public key that is printed.
    """
    settings = read_settings()
    with (
        open_service(settings) as service,
        snapshot(service.engine, statement_timeout_s=NO_LIMIT) as conn,
    ):
        audit = verify(conn)
        stand = heads(conn)
    if audit.findings:
        _print(audit, seconds=None, as_json=False)
        raise AuditFailed(findings=len(audit.findings))
    key = open_key(key_path or settings.home / KEY_FILE)
    out.write_text(sign(stand, at=datetime.now(UTC), key=key), encoding="utf-8")
    click.echo(
        f"{len(stand):,} streams, {audit.records:,} records signed in {out};"
        f" public key {public_text(key.public_key())}"
    )


@command.command("key")
@key_option
def key_(*, key_path: Path | None) -> None:
    """Print the public key that proves this installation's checkpoints."""
    settings = read_settings()
    key = open_key(key_path or settings.home / KEY_FILE)
    click.echo(public_text(key.public_key()))


def _own_key(settings: Settings) -> Ed25519PublicKey:
    try:
        return read_key(settings.home / KEY_FILE).public_key()
    except BadKey:
        raise click.UsageError(
            "this installation has signed no checkpoint: give --public-key"
        ) from None


def _print(audit: Audit, *, seconds: float | None, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "is_intact": not audit.findings,
                "streams": audit.streams,
                "records": audit.records,
                "checks": list(audit.seconds),
                "findings": audit.findings,
                "seconds": seconds,
            }
        )
        return
    for check in audit.seconds:
        wrong = [finding for finding in audit.findings if finding.check == check]
        click.echo(f"{'FAULT' if wrong else 'ok':>5}  {check}")
        for finding in wrong:
            click.echo(f"         {finding.where}: {finding.what}")
    took = "" if seconds is None else f", in {seconds:.1f} s"
    click.echo(f"{audit.streams:,} streams, {audit.records:,} records{took}")
