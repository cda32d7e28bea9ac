"""Feedback teaches the next plan."""

import json
from contextlib import closing

from kafka import KafkaProducer

from tests.e2e.conftest import House
from tests.e2e.test_topic_to_ledger import job


def send_feedback(house: House, said: dict[str, float]) -> None:
    topic = house.env["APPORTION_FEEDBACK_TOPIC"]
    with closing(KafkaProducer(bootstrap_servers=house.bootstrap, linger_ms=5)) as producer:
        for job_id, score in said.items():
            message = {"job_id": job_id, "kind": "score", "score": score}
            producer.send(topic, key=job_id.encode(), value=json.dumps(message).encode())
        producer.flush(60)


def test_an_offer_whose_answers_are_bad_gets_no_more_jobs(house: House) -> None:
    house.run("budget", "set", "default", "--limit", "10")
    house.serve()
    house.produce([job(number) for number in range(120)])
    before = house.consume(house.results, 120)
    assert {one["model"] for one in before} == {"sandbox-large"}

    send_feedback(house, {one["job_id"]: 0.1 for one in before})
    house.wait_for("SELECT count(*) = 120 FROM feedback")
    learned = json.loads(house.run("learn", "--json"))
    assert {one["kind"]: one["is_new"] for one in learned["lessons"]}["quality"]

    house.produce([job(number) for number in range(120, 160)])
    after = house.consume(house.results, 160)[120:]
    assert "sandbox-large" not in {one["model"] for one in after}
    plans = house.scalar("SELECT count(DISTINCT inputs ->> 'quality') FROM plan")
    assert plans == 2
    house.run("audit", "verify")
