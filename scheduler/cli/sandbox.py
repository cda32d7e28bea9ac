"""`apportion sandbox`: a provider for trials and tests, on this machine."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import click
from aiohttp import web

from scheduler.catalog.listings import offers_on, sandbox_offers
from scheduler.catalog.loading import load_catalog
from scheduler.cli.paths import WRITTEN
from scheduler.cli.printing import json_line
from scheduler.domain.errors import Refused, Unavailable
from scheduler.settings import read_settings
from workers.sandbox.bill import Bill
from workers.sandbox.faults import Fault, read_script
from workers.sandbox.server import Sandbox

URL_VARIABLE = "APPORTION_SANDBOX_URL"


class NothingToSell(Refused):
    """The catalog lists no sandbox offers, so there is nothing to serve."""

    def __init__(self) -> None:
        super().__init__(
            "the catalog has no provider `sandbox`; copy it from `apportion offers --shipped`"
        )


class PortTaken(Unavailable):
    """Another process listens where the sandbox should."""

    def __init__(self, *, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}; choose another --port")
        self.host = host
        self.port = port


@click.command(
    epilog="Faults: " + ", ".join(fault.value for fault in Fault) + ".  docs/sandbox.md has more."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8377, show_default=True, help="0: a free one."
)
@click.option(
    "--faults",
    default="{}",
    metavar="JSON|@FILE",
    help='Like \'{"rules": [{"model": "sandbox-large", "fault": "500", "count": 9}]}\'.',
)
@click.option(
    "--latency",
    "latency_s",
    type=click.FloatRange(0, 600),
    default=0.0,
    metavar="S",
    help="Seconds that a call takes; half for the small model, twice for the large.",
)
@click.option(
    "--token-latency",
    "token_s",
    type=click.FloatRange(0, 10),
    default=0.0,
    metavar="S",
    help="Seconds per token of the answer, on top.",
)
@click.option("--requests-per-minute", type=click.IntRange(1), help="Per model; 429 beyond it.")
@click.option("--seed", type=int, help="Of faults by chance; over the one in --faults.")
@click.option("--bill", type=WRITTEN, help="JSONL; appended to.")
def command(
    *,
    host: str,
    port: int,
    faults: str,
    latency_s: float,
    token_s: float,
    requests_per_minute: int | None,
    seed: int | None,
    bill: Path | None,
) -> None:
    """Serve made-up models that speak OpenAI's protocol, cost play money, and fail on request.

    Prints one JSON line with its address when it is ready, and serves until it is told to stop.
    Then, elsewhere: `export APPORTION_SANDBOX_URL=...`, and its offers are on.

    What it billed is at /sandbox/bill (per call: /sandbox/bill/rows), and in the file of --bill.
    Faults can be put in place while it runs: PUT /sandbox/faults.
    """
    settings = read_settings()
    listings = offers_on(load_catalog(settings.catalog), today=datetime.now(UTC).date(), environ={})
    offers = sandbox_offers(listings)
    if not offers:
        raise NothingToSell
    script = read_script(faults)
    sandbox = Sandbox(
        offers=offers,
        bill=Bill(bill or settings.home / "sandbox" / "bill.jsonl"),
        script=script if seed is None else script.model_copy(update={"seed": seed}),
        latency_s=latency_s,
        token_s=token_s,
        requests_per_minute=requests_per_minute,
    )
    asyncio.run(_serve(sandbox, host=host, port=port))


async def _serve(sandbox: Sandbox, *, host: str, port: int) -> None:
    runner = web.AppRunner(sandbox.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise PortTaken(host=host, port=port, reason=reason) from None
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        url = f"http://{host}:{runner.addresses[0][1]}"
        ready = {
            "sandbox": True,
            "url": f"{url}/v1",
            "bill": f"{url}/sandbox/bill",
            "bill_file": str(sandbox.bill.path),
            "pid": os.getpid(),
        }
        click.echo(json_line(ready))
        click.echo(f"ready: export {URL_VARIABLE}={url}/v1", err=True)
        await stopped.wait()
    finally:
        await runner.cleanup()
