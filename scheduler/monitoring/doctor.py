"""Looks at every part the service stands on, and says what to do where one is not well."""

import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kombu.connection import Connection as BrokerConnection
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import Connection

from scheduler.domain.errors import Refused
from scheduler.domain.listing import Listing
from scheduler.estimate.embedding import Embedder, NoEmbedding
from scheduler.monitoring.checks import Check, fault, warning, well
from scheduler.store.connect import APP_ROLE
from scheduler.store.health import DatabaseHealth, database_health
from scheduler.store.migrate import SchemaBehind
from scheduler.store.migrate import check as check_schema

POSTGRES_OLDEST = 15
KAFKA_OLDEST = (2, 1)
SKEW_WARNING_S = 1.0
SKEW_FAULT_S = 30.0
DISK_WARNING_BYTES = 5 * 2**30
DISK_FAULT_BYTES = 2**30
URL_ADVICE = "write it like amqp://user:password@host//"
REACH_S = 5
"""How long a server may take to answer at all."""


def check_database(
    conn: Connection, *, now: Callable[[], datetime], is_embedded: bool
) -> Iterator[Check]:
    """Version, role, schema, partitions, clock and connections of the database at *conn*."""
    before = now()
    health = database_health(conn)
    skew_s = (health.now - before).total_seconds()
    yield _version(health)
    yield _role(health, is_embedded=is_embedded)
    yield _schema(conn)
    yield _partitions(health)
    yield _clock(skew_s)
    yield _connections(health)


def _version(health: DatabaseHealth) -> Check:
    found = f"Postgres {health.version}"
    if health.version_num >= POSTGRES_OLDEST * 10_000:
        return well("database", found)
    return fault("database", found, f"upgrade it to {POSTGRES_OLDEST} or newer")


def _role(health: DatabaseHealth, *, is_embedded: bool) -> Check:
    part, found = "role", f"{health.session_user} acts as {health.acting_user}"
    if health.acting_user != APP_ROLE or health.may_rewrite:
        advice = f"the ledger can be rewritten by it; act as {APP_ROLE}, and grant that role less"
        return fault(part, found, advice)
    # The embedded database's one login is its superuser, and nobody else's machine has it.
    if health.is_superuser and not is_embedded:
        advice = (
            "the login is a superuser and could change the ledger; give the service one that is"
            f" a member of {APP_ROLE} and no more"
        )
        return warning(part, found, advice)
    return well(part, f"{found}, which cannot rewrite the ledger")


def _schema(conn: Connection) -> Check:
    try:
        check_schema(conn)
    except SchemaBehind as behind:
        return fault("schema", f"{behind.found or 'none'}", "run `apportion migrate`")
    return well("schema", "as this program needs it")


def _partitions(health: DatabaseHealth) -> Check:
    if not health.missing_partitions:
        return well("partitions", "made up to next month")
    advice = (
        "restart `apportion serve`, which makes them; without them work stops at the month's end"
    )
    return fault("partitions", f"missing: {', '.join(health.missing_partitions)}", advice)


def _clock(skew_s: float) -> Check:
    found = f"{abs(skew_s):.1f} s {'behind' if skew_s > 0 else 'ahead of'} the database's"
    advice = "let both machines keep time by NTP: leases, deadlines and months go by these clocks"
    if abs(skew_s) >= SKEW_FAULT_S:
        return fault("clock", found, advice)
    if abs(skew_s) >= SKEW_WARNING_S:
        return warning("clock", found, advice)
    return well("clock", "as the database's, to a second")


def _connections(health: DatabaseHealth) -> Check:
    found = f"{health.connections} of {health.connections_max} in use"
    if health.connections * 5 < health.connections_max * 4:
        return well("connections", found)
    return warning("connections", found, "raise max_connections, or run fewer workers")


def check_kafka(options: Mapping[str, Any], *, topics: Sequence[str]) -> Iterator[Check]:
    """Whether Kafka (kafka-python's *options*) answers, and has *topics*."""
    servers = options["bootstrap_servers"]
    where = ", ".join(servers)
    advice = "start it, or mend APPORTION_KAFKA_BOOTSTRAP and APPORTION_KAFKA_OPTIONS"
    # The client itself would try for its whole time, and say less.
    away = [_unreachable(*_address(server, port=9092)) for server in servers]
    if all(away):
        yield fault("kafka", f"{where}: {away[0]}", advice)
        return
    try:
        with closing(KafkaAdminClient(**options, bootstrap_timeout_ms=REACH_S * 1_000)) as admin:
            yield _kafka_version(admin, where)
            there = set(admin.list_topics())
    except (KafkaError, OSError, ValueError, AssertionError) as error:
        yield fault("kafka", f"{where}: {error}", advice)
        return
    yield from (_topic(topic, there=topic in there, server=servers[0]) for topic in topics)


def _kafka_version(admin: KafkaAdminClient, where: str) -> Check:
    # Every one of them: the oldest decides what the cluster can do.
    versions = [
        tuple(admin.get_broker_version_data(broker["broker_id"]).broker_version)
        for broker in admin.describe_cluster()["brokers"]
        if not broker.get("is_fenced")
    ]
    text = ", ".join(".".join(map(str, version)) for version in sorted(set(versions)))
    brokers = f"{len(versions)} broker{'s' if len(versions) != 1 else ''}"
    found = f"{where}: {brokers} of version {text}"
    if min(versions, default=()) < KAFKA_OLDEST:
        oldest = ".".join(map(str, KAFKA_OLDEST))
        return fault("kafka", found, f"start brokers of version {oldest} or newer")
    return well("kafka", found)


def _topic(topic: str, *, there: bool, server: str) -> Check:
    if there:
        return well(f"topic {topic}", "is there")
    advice = (
        f"create it, as by: kafka-topics.sh --bootstrap-server {server}"
        f" --create --topic {topic} --partitions 12"
    )
    return fault(f"topic {topic}", "is not there", advice)


def check_broker(url: str) -> Check:
    """Whether Celery's broker at *url* answers."""
    if url.startswith("sqla+"):
        return well("broker", "the database")
    advice = "start it, or mend APPORTION_BROKER_URL"
    try:
        connection = BrokerConnection(url, connect_timeout=REACH_S)  # type: ignore[no-untyped-call]
        where = connection.as_uri()  # without the password
    except (LookupError, ValueError, AttributeError, ImportError) as error:
        # Of a scheme that kombu does not know, or whose library is not here; or no URL at all.
        return fault("broker", f"APPORTION_BROKER_URL cannot be used: {error}", URL_ADVICE)
    with connection as broker:
        if broker.hostname and broker.port and (away := _unreachable(broker.hostname, broker.port)):
            return fault("broker", f"{where}: {away}", advice)
        try:
            broker.ensure_connection(max_retries=1, timeout=REACH_S)
        except (BrokerError, *broker.connection_errors, *broker.channel_errors) as error:
            return fault("broker", f"{where}: {error}", advice)
    return well("broker", where)


def _address(server: str, *, port: int) -> tuple[str, int]:
    host, _, said = server.strip().rpartition(":")
    return (host.strip("[]"), int(said)) if host and said.isdecimal() else (server.strip(), port)


def _unreachable(host: str, port: int) -> str | None:
    """Why nothing answers at *host* and *port*; None where something does."""
    try:
        with socket.create_connection((host, port), timeout=REACH_S):
            return None
    except OSError as error:
        return str(error)


def check_catalog(load: Callable[[], Sequence[Listing]]) -> Iterator[Check]:
    """Whether the catalog can be read, any of its offers is on, and each provider's key is there.

    *load* reads it, and lists its offers as they are in this environment.
    """
    try:
        listings = load()
    except Refused as error:
        yield fault("catalog", str(error), "mend the file that APPORTION_CATALOG names")
        return
    on = [one for one in listings if one.off_reason is None]
    found = f"{len(on)} of {len(listings)} offers are on"
    if on:
        yield well("catalog", found)
    else:
        advice = "set a provider's key; `apportion offers` says what each offer lacks"
        yield fault("catalog", found, advice)
    variables = {one.access.name: one.key_variable for one in listings if one.key_variable}
    keyed = {one.access.name for one in listings if one.access.api_key}
    for provider, variable in sorted(variables.items()):
        yield _key(provider, variable, is_set=provider in keyed)


def _key(provider: str, variable: str, *, is_set: bool) -> Check:
    if is_set:
        return well(f"key of {provider}", f"{variable} is set")
    # Not a warning: nobody has keys of all providers that the shipped catalog knows.
    return well(f"key of {provider}", f"{variable} is not set, so its offers are off")


def check_policy(next_night: Callable[[], datetime]) -> Check:
    """Whether the policy can be read, and is one by which *next_night* is known."""
    try:
        night = next_night()
    except Refused as error:
        return fault("policy", str(error), "mend APPORTION_POLICY, or the file it is in")
    return well("policy", f"the next night begins at {night:%Y-%m-%d %H:%M} UTC")


def check_embedding(folder: Path | None, *, learned_on: str | None) -> Iterator[Check]:
    """Whether the embedding model in *folder* loads, and quality was learned on it.

    *learned_on* names the model of the quality predictor in use: empty where that reads none,
    None where nothing is known of it.
    """
    name = ""
    if folder is None:
        yield well("embedding", "not used: APPORTION_EMBEDDING is not set")
    else:
        try:
            model = Embedder.load(folder)
        except NoEmbedding as error:
            advice = "mend APPORTION_EMBEDDING, or unset it: with it as it is nothing is planned"
            yield fault("embedding", str(error), advice)
            return
        name = model.name
        yield well("embedding", f"{name} at {folder}, {model.width} numbers a document")
    if learned_on is not None and (check := _learned_on(learned_on, name)) is not None:
        yield check


def _learned_on(learned_on: str, name: str) -> Check | None:
    if learned_on == name:
        return None
    part = "quality"
    if not learned_on:
        found = "the predictor in use reads no embedding"
        return well(part, f"{found}; `apportion learn` tries it with {name}")
    found = f"learned on the embedding model {learned_on}, and {name or 'none'} is set"
    advice = (
        "plans go by the offers' means meanwhile: run `apportion learn`, or set"
        " APPORTION_EMBEDDING to that model's folder"
    )
    return warning(part, found, advice)


def check_disk(path: Path) -> Check:
    """Whether there is room where *path* is, or will be."""
    there = next(place for place in (path, *path.parents) if place.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 2**30:.1f} GiB free at {there}"
    advice = "make room: with a full disk nothing can be stored"
    if free < DISK_FAULT_BYTES:
        return fault("disk", found, advice)
    if free < DISK_WARNING_BYTES:
        return warning("disk", found, advice)
    return well("disk", found)
