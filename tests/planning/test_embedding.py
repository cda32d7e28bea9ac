"""An embedding model of one's own in the service: what only it can tell changes the plan."""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from click.testing import CliRunner
from sqlalchemy import Engine, text

from scheduler.cli.context import open_service
from scheduler.cli.main import apportion
from scheduler.cli.parts import run_parts
from scheduler.domain.policy import Policy
from scheduler.estimate.embedding import Embedder
from scheduler.planning import loop
from scheduler.planning.embedding import embed_queued, embed_scored, vectors_of
from scheduler.planning.estimates import estimators_in_use
from scheduler.planning.learning import learn
from scheduler.planning.lessons import Lesson
from scheduler.planning.loop import Look, embed_ahead
from scheduler.planning.outcome import PlanOutcome
from scheduler.planning.planner import dry_run
from scheduler.planning.window import WindowKind
from scheduler.settings import read_settings
from tests.estimate.test_embedding import model_folder
from tests.planning import one_window
from tests.planning.queued import (
    CHEAP,
    GOOD,
    NOON,
    When,
    Wish,
    add_budget,
    add_jobs,
    add_offers,
    policy,
    rows,
)
from tests.planning.test_learning import answered
from tests.planning.test_learning import report as by_subject
from tests.rig.waiting import eventually

LEARNED, ASKED, WORDS_EACH = 160, 40, 5
LATER = NOON.replace(year=2099)
ABOUT_ME = policy(explore_ppm=0)


def word(number: int) -> str:
    """A word that occurs in one document alone, of letters that say nothing of its subject."""
    return "".join(chr(97 + byte % 26) for byte in np.random.default_rng(number).bytes(9))


def report(number: int) -> str:
    """A document of its own words; even ones have one subject, odd ones another."""
    return " ".join(word(number * WORDS_EACH + at) for at in range(WORDS_EACH))


def synonyms(folder: Path, *, is_turned: bool = False) -> Embedder:
    """A model to which all words of one subject are nearly the same.

    One that is turned gives each subject the vector that the other has in one that is not.
    """
    folder.mkdir(exist_ok=True)
    count = (LEARNED + ASKED) * WORDS_EACH
    rng = np.random.default_rng(0)
    subjects = rng.normal(size=(2, 10))
    of = (np.arange(count) // WORDS_EACH + is_turned) % 2
    near = subjects[of] + rng.normal(size=(count, 10)) * 0.1
    table = np.vstack([np.zeros((1, 10)), near]).astype(np.float32)
    words = ["[UNK]", *(word(at) for at in range(count))]
    return Embedder.load(model_folder(folder, words=words, table=table))


@pytest.fixture
def embedder(tmp_path: Path) -> Embedder:
    return synonyms(tmp_path / "model")


def lesson(engine: Engine, embedder: Embedder | None) -> Lesson:
    """What `apportion learn` makes of the quality."""
    if embedder is not None:
        embed_scored(engine.begin, embedder)
    with engine.begin() as conn:
        lessons = learn(conn, policy=Policy(), vectors=vectors_of(embedder))
    return next(one for one in lessons if one.kind == "quality")


def plan(engine: Engine, embedder: Embedder | None) -> PlanOutcome:
    return one_window.plan(engine, by=ABOUT_ME, embedder=embedder)


def shown(engine: Engine, embedder: Embedder | None = None) -> PlanOutcome:
    """What a dry run says."""
    found = dry_run(
        engine, kind=WindowKind.CONTINUOUS, now=NOON, policy=ABOUT_ME, embedder=embedder
    )
    assert found is not None
    return found


def queue(engine: Engine) -> None:
    """`CHEAP` was good on even documents and bad on odd ones; now others of both are asked for.

    The money is enough for `GOOD` on half of them.
    """
    with engine.begin() as conn:
        answered(conn, LEARNED, lambda number: float(number % 2 == 0), report)
        add_offers(conn, CHEAP, GOOD)
        add_jobs(conn, *(Wish(text=report(LEARNED + at)) for at in range(ASKED)))
        add_budget(conn, 1_000)
    full = shown(engine)
    with engine.begin() as conn:
        add_budget(conn, full.reserved_nusd * 0.55 / 1e9)


def went_to_good(engine: Engine) -> list[bool]:
    """Of the jobs asked for, in their order, whether `GOOD` does them."""
    with engine.connect() as conn:
        found = rows(
            conn,
            "SELECT offer.name FROM job JOIN decision ON decision.job_id = job.id"
            " LEFT JOIN offer ON offer.id = decision.offer_id"
            " WHERE job.finished_at IS NULL ORDER BY job.id",
        )
    return [row.name == GOOD.offer.name for row in found]


def inputs(engine: Engine, outcome: PlanOutcome) -> dict[str, Any]:
    with engine.connect() as conn:
        [row] = rows(conn, "SELECT inputs FROM plan WHERE id = :id", {"id": outcome.plan_id})
    found: dict[str, Any] = row.inputs if isinstance(row.inputs, dict) else json.loads(row.inputs)
    return found


def models(engine: Engine) -> dict[str, int]:
    """How many vectors there are, by model."""
    with engine.connect() as conn:
        found = rows(conn, "SELECT model, count(*) AS n FROM embedding GROUP BY model")
    return {row.model: row.n for row in found}


def in_use(engine: Engine) -> str:
    """The representation of the quality predictor in use."""
    with engine.connect() as conn:
        return estimators_in_use(conn).quality.representation


def test_what_only_the_embedding_tells_decides_which_job_gets_the_better_offer(
    engine: Engine, embedder: Embedder
) -> None:
    queue(engine)
    learned = lesson(engine, embedder)
    assert learned.is_new, learned.reason
    assert learned.figures["representation"] == embedder.name == in_use(engine)

    outcome = plan(engine, embedder)

    good = went_to_good(engine)
    odd, even = sum(good[1::2]), sum(good[::2])
    assert odd == ASKED // 2
    assert even <= ASKED // 10
    assert inputs(engine, outcome)["quality"] == learned.figures["digest"]
    assert inputs(engine, outcome)["embedding"] == {"model": embedder.name, "documents": ASKED}


def test_vectors_that_tell_nothing_are_left_out(engine: Engine, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(size=(LEARNED + 1, 200)).astype(np.float32)
    names = ["[UNK]", *(word(number) for number in range(LEARNED))]
    embedder = Embedder.load(model_folder(tmp_path, words=names, table=noise))
    with engine.begin() as conn:
        answered(
            conn,
            LEARNED,
            lambda number: float(number % 2 == 0),
            lambda number: f"{by_subject(number)} {word(number)}",
        )

    learned = lesson(engine, embedder)

    assert models(engine) == {embedder.name: LEARNED}
    assert learned.is_new, learned.reason
    assert learned.figures["representation"] == ""


def test_without_a_setting_nothing_is_embedded_and_plans_are_as_before(engine: Engine) -> None:
    queue(engine)

    learned = lesson(engine, None)
    outcome = plan(engine, None)

    assert models(engine) == {}
    assert learned.figures["representation"] == ""
    assert "embedding" not in inputs(engine, outcome)


def test_heads_learned_on_another_model_are_not_asked_and_the_log_says_so(
    engine: Engine, embedder: Embedder, tmp_path: Path
) -> None:
    queue(engine)
    lesson(engine, embedder)
    other = synonyms(tmp_path / "other", is_turned=True)

    with structlog.testing.capture_logs() as log:
        outcome = shown(engine, other)

    cheap = {line.quality for line in outcome.options if line.offer == CHEAP.offer.name}
    # The mean of what it was worth; of single documents nothing is known.
    assert cheap
    assert all(0.4 < quality < 0.6 for quality in cheap), cheap
    [said] = [line for line in log if "another embedding model" in line["event"]]
    assert said["learned_on"] == embedder.name
    assert "apportion learn" in said["advice"]


def test_vectors_of_two_models_are_never_mixed_and_learning_takes_the_one_that_is_set(
    engine: Engine, embedder: Embedder, tmp_path: Path
) -> None:
    queue(engine)
    lesson(engine, embedder)
    other = synonyms(tmp_path / "other", is_turned=True)
    for one in (embedder, other):
        embed_queued(engine.begin, one, before={When.NOW: NOON}, limit=1_000, seconds=60)

    learned = lesson(engine, other)
    outcome = plan(engine, other)

    assert learned.is_new, learned.reason
    assert in_use(engine) == other.name
    assert models(engine) == dict.fromkeys((embedder.name, other.name), LEARNED + ASKED)
    assert outcome.jobs == ASKED
    assert inputs(engine, outcome)["embedding"] == {"model": other.name, "documents": ASKED}
    assert sum(went_to_good(engine)[1::2]) == ASKED // 2


def test_without_the_model_it_was_learned_on_a_plan_goes_by_means(
    engine: Engine, embedder: Embedder
) -> None:
    queue(engine)
    lesson(engine, embedder)

    assert plan(engine, None).planned == ASKED


def test_a_document_that_cannot_be_read_is_planned_by_means(
    engine: Engine, embedder: Embedder
) -> None:
    queue(engine)
    lesson(engine, embedder)
    with engine.begin() as conn:
        conn.execute(
            text("UPDATE document SET body = NULL, path = '/nowhere/at/all.txt' WHERE id IN"
                 " (SELECT document_id FROM job WHERE state = 'queued')")
        )  # fmt: skip

    outcome = plan(engine, embedder)

    assert outcome.planned == ASKED
    assert inputs(engine, outcome)["embedding"]["documents"] == 0


def test_a_dry_run_embeds_and_writes_nothing(engine: Engine, embedder: Embedder) -> None:
    queue(engine)
    lesson(engine, embedder)

    outcome = shown(engine, embedder)

    cheap = [line.quality for line in outcome.options if line.offer == CHEAP.offer.name]
    assert max(cheap) > 0.7
    assert models(engine) == {embedder.name: LEARNED}


def test_embedding_ends_when_its_time_is_up(engine: Engine, embedder: Embedder) -> None:
    queue(engine)

    found = embed_queued(engine.begin, embedder, before={When.NOW: NOON}, limit=1_000, seconds=0)

    assert (found.done, found.not_reached) == (0, ASKED)


def test_an_idle_planner_embeds_what_waits_for_the_night(
    engine: Engine, embedder: Embedder
) -> None:
    with engine.begin() as conn:
        add_jobs(conn, Wish(text=report(0), when=When.NIGHT))
    look = Look()

    embed_ahead(engine, look, embedder, now=NOON)
    assert models(engine) == {embedder.name: 1}
    assert look.embedded is None

    embed_ahead(engine, look, embedder, now=NOON)
    assert look.embedded == NOON


def test_files_that_are_gone_keep_no_document_behind_them_from_being_embedded(
    engine: Engine, embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "AHEAD_DOCUMENTS", 3)
    with engine.begin() as conn:
        add_jobs(conn, *(Wish(text=report(number), when=When.NIGHT) for number in range(5)))
        first = conn.execute(text("SELECT id, body FROM document ORDER BY id LIMIT 1")).one()
        conn.execute(
            text("UPDATE document SET body = NULL, path = :home || '/' || id || '.txt'"
                 " WHERE id IN (SELECT id FROM document ORDER BY id LIMIT 3)"),
            {"home": str(tmp_path)},
        )  # fmt: skip
    look = Look()

    for _ in range(3):
        embed_ahead(engine, look, embedder, now=NOON)
    assert models(engine) == {embedder.name: 2}
    assert look.embedded == NOON

    # One that is there again is found by the next look through the queue.
    with engine.begin() as conn:
        conn.execute(
            text("UPDATE document SET body = :body, path = NULL WHERE id = :id"), first._asdict()
        )
    embed_ahead(engine, look, embedder, now=NOON + timedelta(seconds=loop.AHEAD_EVERY_S))
    assert models(engine) == {embedder.name: 3}


def test_the_commands_take_the_model_from_the_setting(
    engine: Engine, embedder: Embedder, tmp_path: Path, database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    queue(engine)
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)
    monkeypatch.setenv("APPORTION_EMBEDDING", str(tmp_path / "model"))

    told = CliRunner().invoke(apportion, ["learn"])
    assert told.exit_code == 0, told.output
    assert embedder.name in told.output
    assert in_use(engine) == embedder.name

    monkeypatch.setenv("APPORTION_SANDBOX_URL", "http://127.0.0.1:1/v1")
    planned = CliRunner().invoke(apportion, ["plan", "--now"])
    assert planned.exit_code == 0, planned.output
    assert models(engine) == {embedder.name: LEARNED + ASKED}


def test_a_planner_started_by_the_service_embeds(
    engine: Engine, embedder: Embedder, tmp_path: Path, database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with engine.begin() as conn:
        add_jobs(conn, Wish(text=report(0), when=When.NIGHT, not_before=LATER))
    monkeypatch.setenv("APPORTION_DATABASE_URL", database_url)
    monkeypatch.setenv("APPORTION_EMBEDDING", str(tmp_path / "model"))
    settings, stop = read_settings(), threading.Event()
    with open_service(settings) as service:
        planner = threading.Thread(
            target=run_parts, args=(["planner"], service, settings), kwargs={"stop": stop}
        )
        planner.start()
        try:
            eventually(lambda: models(engine) == {embedder.name: 1}, what="a vector")
        finally:
            stop.set()
            planner.join()
