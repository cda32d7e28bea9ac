"""The Kafka of the tests: one real broker, and topics of their own for each test."""

import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from tests.rig.kafka_jars import java, kafka_jars
from tests.rig.process import ProcessHandle

CLUSTER = "apportion-tests-0000000"
HEAP = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
START_S = 60

CONFIG = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
# A broker that was killed may come back after this long.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=2097152
num.io.threads=2
num.network.threads=2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Makes topics on a broker.

    Attributes:
        bootstrap: host:port of the broker.
    """

    bootstrap: str

    def create(self, like: str = "topic", *, partitions: int = 1) -> str:
        """A new topic; its name begins with *like* and is nobody else's."""
        name = f"{like}.{random.getrandbits(48):012x}"
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            admin.create_topics(
                {name: {"num_partitions": partitions, "replication_factor": 1}},
                wait_for_metadata=True,
            )
        return name


@dataclass(slots=True, kw_only=True)
class Broker:
    """A broker of our own on free ports, which can be killed and started again.

    Attributes:
        home: directory of its configuration, data and log.
    """

    home: Path
    port: int
    _process: ProcessHandle | None = field(default=None, repr=False)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def topics(self) -> Topics:
        return Topics(bootstrap=self.bootstrap)

    def start(self) -> None:
        """Start it, also after `kill`, with the same data on the same port; until it answers."""
        self._process = ProcessHandle(_java("kafka.Kafka", str(_file(self.home))), log=self._log)
        self._process.wait_for(self._answers, within_s=START_S, what="the broker to answer")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _answers(self) -> bool:
        # A port that takes connections is not yet a broker that has registered.
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        try:
            with closing(
                KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2_000)
            ) as admin:
                return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False

    @property
    def _log(self) -> Path:
        return self.home / "kafka.log"


@contextmanager
def broker(home: Path) -> Iterator[Broker]:
    """A formatted, running broker with its data under *home*."""
    home.mkdir(parents=True)
    port, controller = free_ports(2)
    config = CONFIG.format(broker=port, controller=controller, data=home / "data")
    _file(home).write_text(config)
    subprocess.run(
        _java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(_file(home))),
        check=True,
        capture_output=True,
    )
    ours = Broker(home=home, port=port)
    try:
        ours.start()
        yield ours
    finally:
        ours.kill()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the system hands to outgoing connections.

    One of those could be taken by a client between a server's death and its restart.
    """
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 200):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports between 20000 and 32000")


def _java(main: str, *arguments: str) -> list[str]:
    log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return [java(), *HEAP, log, "-cp", f"{kafka_jars()}/*", main, *arguments]


def _file(home: Path) -> Path:
    return home / "server.properties"
