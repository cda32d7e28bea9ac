"""Whatever happens to its processes: the same set of results comes out, once each."""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Timer

import psutil
import pytest
from sqlalchemy import text

from scheduler.domain.money import NUSD_PER_USD
from tests.e2e.conftest import House
from tests.e2e.test_topic_to_ledger import job
from tests.rig.process import ProcessHandle
from tests.rig.waiting import eventually

JOBS = 300
BURST = 50
PAUSES_S = (0.2, 1.0, 4.0)
"""The longest is longer than a lease, and than a worker's claim."""

_SESSIONS = text("""
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type LIKE 'client%'
""")
_CUT = text("SELECT pg_terminate_backend(:pid)")


@dataclass(slots=True, kw_only=True)
class Storm:
    """What happens to a service's processes, by chance; each act is a method."""

    house: House
    chance: random.Random
    serves: list[ProcessHandle]
    workers: list[ProcessHandle]
    pauses: list[Timer] = field(default_factory=list)

    def strike(self) -> None:
        self.chance.choice([self.kill_part, self.kill_worker, self.pause, self.cut])()

    def kill_part(self) -> None:
        """kill -9 one of the processes that `serve` keeps; it starts another."""
        part = self.chance.choice(self._parts())
        with suppress(psutil.NoSuchProcess):
            part.kill()

    def kill_worker(self) -> None:
        at = self.chance.randrange(len(self.workers))
        self.workers[at].kill()
        self.workers[at] = self.house.start("worker", env=self.house.env)

    def pause(self) -> None:
        """Stop a process where it is; it goes on later, and knows nothing of it."""
        workers = [psutil.Process(worker.pid) for worker in self.workers]
        process = self.chance.choice([*self._parts(), *workers])
        with suppress(psutil.NoSuchProcess):
            process.suspend()
        self.pauses.append(Timer(self.chance.choice(PAUSES_S), _resume, [process]))
        self.pauses[-1].start()

    def cut(self) -> None:
        """End some sessions with the database, whosever they are."""
        with self.house.engine.begin() as conn:
            sessions = conn.execute(_SESSIONS).scalars().all()
            for pid in self.chance.sample(sessions, min(len(sessions), 4)):
                conn.execute(_CUT, {"pid": pid})

    def calm(self) -> None:
        for pause in self.pauses:
            pause.join()
        assert [one.status for one in (*self.serves, *self.workers)] == [None] * 4

    def _parts(self) -> list[psutil.Process]:
        def parts() -> list[psutil.Process]:
            return [one for serve in self.serves for one in psutil.Process(serve.pid).children()]

        eventually(lambda: len(parts()) >= 4, what="some parts to run")
        return sorted(parts(), key=lambda part: part.pid)


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()


@pytest.mark.parametrize("seed", [1, 2])
def test_processes_killed_paused_and_cut_off_at_random_leave_every_result_there_once(
    house: House, seed: int
) -> None:
    chance = random.Random(seed)
    house.run("budget", "set", "default", "--limit", "1")
    serves, workers = [list(pair) for pair in zip(house.serve(), house.serve(), strict=True)]
    storm = Storm(house=house, chance=chance, serves=serves, workers=workers)
    for first in range(0, JOBS, BURST):
        house.produce([job(number) for number in range(first, first + BURST)])
        # Some are sent again, and one cannot be.
        house.produce([job(chance.randrange(first + BURST)) for _ in range(5)])
        house.produce([{"job_id": f"bad-{first}", "task": "summarise", "text": "x"}])
        wanted = first + chance.randrange(BURST // 2)
        house.wait_for(f"SELECT count(*) >= {wanted} FROM job", within_s=90)
        for _ in range(3):
            storm.strike()
    storm.calm()

    results = house.consume(house.results, JOBS, within_s=180)

    assert Counter(one["job_id"] for one in results) == {f"job-{n}": 1 for n in range(JOBS)}
    assert {one["status"] for one in results} == {"done"}
    assert len(house.consume(house.dead, JOBS // BURST)) == JOBS // BURST
    published = sum(int(Decimal(one["cost_usd"]) * NUSD_PER_USD) for one in results)
    unknown = house.scalar(
        "SELECT coalesce(sum(reserved_nusd), 0) FROM attempt WHERE state = 'unknown'"
    )
    assert published <= house.billed_nusd() <= published + unknown
    assert "Traceback" not in "".join(one.output for one in (*serves, *workers))
    house.run("report", "budget")
    house.run("audit", "verify")
