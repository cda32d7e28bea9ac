"""The RabbitMQ of the tests: a real one, which can be killed and started again."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kombu import Connection
from kombu.exceptions import OperationalError

from tests.rig.kafka import free_ports
from tests.rig.process import ProcessHandle

# Debian's program of that name on the PATH serves root and its own user alone; this one, everyone.
PLACES = "/usr/lib/rabbitmq/bin"
HELP = (
    "these tests run a real RabbitMQ: install it (Debian: apt-get install rabbitmq-server;"
    " macOS: brew install rabbitmq)"
)


@dataclass(slots=True, kw_only=True)
class RabbitMQ:
    """A broker of our own on free ports.

    Attributes:
        home: directory of its data and logs.
    """

    home: Path
    port: int
    distribution: int
    names: int
    _process: ProcessHandle | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start it, also after `kill`, on the same port; until it answers."""
        self._process = ProcessHandle([server()], log=self.home / "server.log", env=self._env())
        self._process.wait_for(self._answers, what="RabbitMQ to answer")

    def kill(self) -> None:
        """kill -9; its data stay."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def forget(self) -> None:
        """Lose every queue and message, as a machine does that is replaced; it must not run."""
        assert self._process is None
        shutil.rmtree(self.home / "data")

    def _answers(self) -> bool:
        with closing(Connection(self.url, connect_timeout=2)) as connection:
            try:
                connection.connect()
            except (OperationalError, *connection.connection_errors):
                return False
        return True

    def _env(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),  # of the cookie
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            # Nothing of this machine's own RabbitMQ.
            "RABBITMQ_CONFIG_FILE": str(self.home / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "none"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.names),
            "ERL_CRASH_DUMP_BYTES": "0",
        }


@contextmanager
def rabbitmq(home: Path) -> Iterator[RabbitMQ]:
    """A running broker with its data under *home*."""
    home.mkdir(parents=True)
    port, distribution, names = free_ports(3)
    ours = RabbitMQ(home=home, port=port, distribution=distribution, names=names)
    # Else RabbitMQ starts this one itself, and leaves it behind.
    epmd = ProcessHandle(
        ["epmd", "-address", "127.0.0.1", "-port", str(names)], log=home / "epmd.log"
    )
    try:
        ours.start()
        yield ours
    finally:
        ours.kill()
        epmd.end()


def server() -> str:
    """The path of the program that starts RabbitMQ."""
    found = shutil.which("rabbitmq-server", path=PLACES) or shutil.which("rabbitmq-server")
    assert found, HELP
    return found
