"""Any process may be killed at any moment: the same set of results comes out, once each."""

import random
from collections import Counter
from decimal import Decimal

import psutil
import pytest

from scheduler.domain.money import NUSD_PER_USD
from tests.e2e.conftest import House
from tests.e2e.test_topic_to_ledger import job
from tests.rig.waiting import eventually

JOBS = 300
BURST = 50


@pytest.mark.parametrize("seed", [1, 2])
def test_processes_killed_at_random_leave_every_result_there_once(house: House, seed: int) -> None:
    chance = random.Random(seed)
    house.run("budget", "set", "default", "--limit", "1")
    serve, worker = house.serve()
    for first in range(0, JOBS, BURST):
        house.produce([job(number) for number in range(first, first + BURST)])
        wanted = first + chance.randrange(BURST // 2)
        house.wait_for(f"SELECT count(*) >= {wanted} FROM job", within_s=90)
        if chance.random() < 0.5:
            worker.kill()
            worker = house.start("worker", env=house.env)
        kill_one_part(serve.pid, chance)

    results = house.consume(house.results, JOBS, within_s=120)

    assert Counter(one["job_id"] for one in results) == {f"job-{n}": 1 for n in range(JOBS)}
    assert {one["status"] for one in results} == {"done"}
    published = sum(int(Decimal(one["cost_usd"]) * NUSD_PER_USD) for one in results)
    unknown = house.scalar(
        "SELECT coalesce(sum(reserved_nusd), 0) FROM attempt WHERE state = 'unknown'"
    )
    assert published <= house.billed_nusd() <= published + unknown
    house.run("report", "budget")
    house.run("audit", "verify")


def kill_one_part(serve: int, chance: random.Random) -> None:
    """kill -9 one of the processes that *serve* keeps; it starts another."""

    def parts() -> list[psutil.Process]:
        return psutil.Process(serve).children()

    eventually(lambda: len(parts()) >= 4, what="the parts to run again")
    chance.choice(sorted(parts(), key=lambda part: part.pid)).kill()
