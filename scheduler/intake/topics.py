"""Which topics are there: one that is missing is told once, and read from when it is made."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

LOOK_S = 5.0
"""While a topic is missing, Kafka is asked for it this often."""
STILL_THERE_S = 30.0
"""While none is, Kafka is asked this often whether one was deleted."""
REACH_MS = 10_000


@dataclass(slots=True, kw_only=True)
class Topics:
    """The topics that are wanted, and those of them that are there.

    Only these are subscribed to: for one that is missing, kafka-python logs an error twenty
    times a second.

    Attributes:
        kafka: kafka-python's arguments, `bootstrap_servers` among them.
        clock: seconds, never going back.
    """

    kafka: Mapping[str, Any]
    wanted: Sequence[str]
    log: Any
    clock: Callable[[], float]
    _there: frozenset[str] = frozenset()
    _told: frozenset[str] = frozenset()
    _looked_at: float = 0.0

    @property
    def there(self) -> list[str]:
        """Those that were there at the last `look`."""
        return sorted(self._there)

    def look(self) -> bool:
        """Ask Kafka, and whether one is there; called before the group is joined.

        Raises:
            KafkaError: it does not answer.
        """
        self._there = self._listed()
        missing = frozenset(self.wanted) - self._there
        if missing - self._told:
            self.log.error(
                "Kafka lacks topics: intake goes on without them until they are made",
                topics=", ".join(sorted(missing)),
                todo="create them, as by: kafka-topics.sh --bootstrap-server HOST:PORT --create"
                " --topic NAME --partitions 12; or let this login see them",
            )
        elif self._told - missing:
            self.log.info("topics were made", topics=", ".join(sorted(self._told - missing)))
        self._told = missing
        return bool(self._there)

    def have_changed(self) -> bool:
        """Whether one was made or deleted; called between two polls, and may ask Kafka.

        Raises:
            KafkaError: it does not answer, while one is missing.
        """
        if self.clock() - self._looked_at < (LOOK_S if self._told else STILL_THERE_S):
            return False
        try:
            return self._listed() != self._there
        except KafkaError:
            if self._told:
                raise
            # The consumer has all its topics, and sees for itself whether Kafka is away.
            self._looked_at = self.clock()
            return False

    def _listed(self) -> frozenset[str]:
        # A client of its own: the consumer's would wait without end while Kafka is away.
        with closing(KafkaAdminClient(**self.kafka, bootstrap_timeout_ms=REACH_MS)) as admin:
            listed = frozenset(admin.list_topics())
        self._looked_at = self.clock()
        return listed & frozenset(self.wanted)
