"""A judged share of the answers changes what is learned, and is paid for like all else."""

import json
from decimal import Decimal
from pathlib import Path

from tests.e2e.conftest import POLICY, House
from tests.e2e.test_topic_to_ledger import job

TEXTS = sorted((Path(__file__).parents[2] / "examples" / "documents").rglob("*.txt"))
JUDGING = POLICY | {"judge": {"share_ppm": 900_000, "every_s": 0.5, "weight_ppm": 1_000_000}}


def real_job(number: int) -> dict[str, object]:
    """A job on a real text: of one sentence over and over, any summary is perfect."""
    text = TEXTS[number % len(TEXTS)].read_text()[:1_500]
    return job(number, text=f"{text} ({number})", words=40)


def test_a_judged_share_of_the_answers_changes_the_next_plan(house: House) -> None:
    house.env["APPORTION_POLICY"] = json.dumps(JUDGING)
    house.run("budget", "set", "default", "--limit", "10")
    house.serve()
    house.produce([real_job(number) for number in range(160)])
    house.consume(house.results, 160)
    house.wait_for("""SELECT count(*) > 40 AND count(*) = (SELECT count(*) FROM feedback)
                      AND bool_and(state = 'done') FROM job WHERE task = 'judge'""")
    judged = house.scalar("SELECT count(*) FROM feedback WHERE judge_offer_id IS NOT NULL")
    assert 125 < judged < 160
    assert house.scalar("SELECT min(score_ppm) > 0 AND max(score_ppm) < 1000000 FROM feedback")

    quality = json.loads(house.run("learn", "--json"))["lessons"][0]
    assert (quality["kind"], quality["figures"]["judged"]) == ("quality", judged)
    assert quality["is_new"], quality["reason"]

    house.produce([real_job(number) for number in range(160, 200)])
    after = house.consume(house.results, 200)
    assert not [one for one in after if one["task"] == "judge"]
    assert house.scalar("""SELECT count(DISTINCT inputs ->> 'quality') = 2 FROM plan""")
    house.wait_for("SELECT count(*) = 0 FROM job WHERE state IN ('queued', 'planned')")
    [budget] = json.loads(house.run("report", "budget", "--json"))
    paid = house.scalar("SELECT sum(spent_nusd) FROM job WHERE task = 'judge'")
    assert budget["judging_nusd"] == paid > 0
    assert Decimal(str(budget["spent_usd"])) * 10**9 == house.billed_nusd()
    house.run("audit", "verify")


def test_judgings_survive_a_worker_that_is_killed(house: House) -> None:
    house.env["APPORTION_POLICY"] = json.dumps(JUDGING | {"judge": {"share_ppm": 1_000_000}})
    house.run("budget", "set", "default", "--limit", "10")
    serve = house.start("serve", env=house.env)
    doomed = house.start("worker", env=house.env)
    house.produce([job(number) for number in range(200)])
    house.wait_for("SELECT count(*) > 20 FROM feedback")
    doomed.kill()
    house.start("worker", env=house.env)

    house.wait_for("SELECT count(*) = 200 FROM feedback")
    house.wait_for("SELECT count(*) = 0 FROM job WHERE state IN ('queued', 'planned')")

    assert house.scalar("SELECT count(DISTINCT job_id) FROM feedback") == 200
    assert len(house.consume(house.results, 200)) == 200
    assert serve.status is None
    house.run("audit", "verify")
