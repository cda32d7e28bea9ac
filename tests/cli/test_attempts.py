"""`apportion attempts` resolves each call of unknown outcome once, and corrects posted ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from scheduler.cli import corrections_file
from scheduler.cli.corrections_file import BadCorrections
from scheduler.domain.money import BadAmount
from scheduler.store.corrections import NotPosted
from scheduler.store.posted_calls import RequestUnclear
from scheduler.store.resolution import NotUnknown
from tests.cli.conftest import Run
from tests.compliance.day import ANSWERED, LOST, WASTED, a_day


@pytest.fixture
def own_day_url(database_url: str) -> str:
    engine = create_engine(database_url)
    with engine.begin() as conn:
        a_day(conn)
    engine.dispose()
    return database_url


def test_a_call_of_unknown_outcome_is_listed_with_what_is_kept_for_it(
    run: Run, day_url: str
) -> None:
    [told] = json.loads(run("attempts", "list", "--json", database=day_url).stdout)

    assert (told["id"], told["job"], told["reserved_nusd"]) == (str(LOST), "c", 100)
    assert str(LOST) in run("attempts", "list", database=day_url).stdout


def test_a_resolved_call_is_posted_and_the_rest_is_given_back(run: Run, own_day_url: str) -> None:
    arguments = ("attempts", "resolve", str(LOST), "--cost", "0.00000007", "--by", "anna")
    assert run(*arguments, database=own_day_url).exit_code == 0

    assert "every call" in run("attempts", "list", database=own_day_url).stdout
    [line] = json.loads(run("report", "budget", "--json", database=own_day_url).stdout)
    assert (line["spent_nusd"], line["reserved_nusd"], line["unknown_nusd"]) == (170, 0, 0)
    assert run("audit", "verify", database=own_day_url).exit_code == 0


def test_a_call_that_is_known_is_not_resolved(run: Run, day_url: str) -> None:
    refused = run("attempts", "resolve", str(ANSWERED), "--cost", "1", database=day_url)

    assert isinstance(refused.exception, NotUnknown)


def test_a_cost_that_is_no_amount_is_refused(run: Run, day_url: str) -> None:
    refused = run("attempts", "resolve", str(LOST), "--cost", "much", database=day_url)

    assert isinstance(refused.exception, BadAmount)


def test_a_posted_call_is_corrected_and_shown_at_its_new_cost(run: Run, own_day_url: str) -> None:
    to = ("--cost", "0.000000025", "--why", "credit note 77", "--by", "anna")
    told = run("attempts", "correct", str(ANSWERED), *to, database=own_day_url)
    assert told.stdout == "1 corrected\n"

    [call] = json.loads(
        run("attempts", "show", "--job", "a", "--json", database=own_day_url).stdout
    )
    assert (call["id"], call["state"], call["cost_nusd"]) == (str(ANSWERED), "succeeded", 25)
    [line] = json.loads(run("report", "budget", "--json", database=own_day_url).stdout)
    assert (line["spent_nusd"], line["waste_nusd"]) == (65, 40)
    [spent] = json.loads(run("report", "spend", "--json", database=own_day_url).stdout)
    assert (spent["used_nusd"], spent["waste_nusd"], spent["calls"]) == (25, 40, 2)
    assert run("audit", "verify", database=own_day_url).exit_code == 0


@pytest.fixture
def corrections(tmp_path: Path) -> Callable[[str], str]:
    def written(lines: str) -> str:
        path = tmp_path / "corrections.csv"
        path.write_text(lines, encoding="utf-8")
        return str(path)

    return written


Written = Callable[[str], str]
HEAD = "attempt_id,cost_usd\n"


@pytest.mark.parametrize(
    ("lines", "said", "spent_nusd", "waste_nusd"),
    [
        (f"\ufeffnote,{HEAD}x,{ANSWERED},0\ny,{WASTED},0.00000004\n",
         "1 corrected, 1 had that cost already", 40, 40),
        ("request_id,cost_usd\nr-2,0.00000002\nr-1,0\n", "2 corrected", 20, 20),
    ],
    ids=["by attempt", "by the provider's request"],
)  # fmt: skip
def test_a_file_of_corrections_is_taken_as_one(
    run: Run, own_day_url: str, corrections: Written, lines: str, said: str, spent_nusd: int,
    waste_nusd: int,
) -> None:  # fmt: skip
    path = corrections(lines)

    told = run("attempts", "correct", "--csv", path, "--why", "invoice", database=own_day_url)

    assert told.stdout == f"{said}\n"
    [line] = json.loads(run("report", "budget", "--json", database=own_day_url).stdout)
    assert (line["spent_nusd"], line["waste_nusd"]) == (spent_nusd, waste_nusd)


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ("", 1, "does not name attempt_id or request_id and cost_usd"),
        ("attempt_id,cost\n", 1, "does not name cost_usd"),
        (f"{HEAD}{ANSWERED},0\nnothing,1\n", 3, "'nothing' is no attempt_id"),
        (f"{HEAD}{ANSWERED}\n", 2, "not an amount in USD"),
        (f"{HEAD}{ANSWERED},-1\n", 2, "not an amount in USD"),
        (f"{HEAD}{ANSWERED},0\n{str(ANSWERED).upper()},1\n", 3, "is corrected twice"),
        ("request_id,cost_usd\nr-1,0\nr-1,1\n", 3, "is corrected twice"),
        ("request_id,cost_usd\nr-1,0\n,1\n", 3, "'' is no request_id"),
        (f"{HEAD}{ANSWERED},0\n" + "y" * 200_000, 2, "field larger than"),
    ],
)
def test_a_file_with_a_bad_line_corrects_nothing(
    run: Run, own_day_url: str, corrections: Written, lines: str, line: int, reason: str
) -> None:
    path = corrections(lines)

    refused = run("attempts", "correct", "--csv", path, "--why", "x", database=own_day_url)

    assert isinstance(refused.exception, BadCorrections)
    assert f"{path}:{line}: " in str(refused.exception)
    assert reason in str(refused.exception)
    [budget] = json.loads(run("report", "budget", "--json", database=own_day_url).stdout)
    assert budget["spent_nusd"] == 100


@pytest.mark.parametrize(
    ("second", "refusal", "why"),
    [
        ("r-9", RequestUnclear, "request r-9 is of no call here; nothing was corrected"),
        ("twice", RequestUnclear, "request twice is of 2 calls; correct them by attempt_id"),
        ("r-3", NotPosted, "is of unknown outcome"),
    ],
)
def test_a_request_that_names_no_posted_call_corrects_nothing(
    run: Run, own_day_url: str, corrections: Written, second: str, refusal: type, why: str
) -> None:
    engine = create_engine(own_day_url)
    with engine.begin() as conn:
        renamed = text("UPDATE attempt SET request_id = 'twice' WHERE id = ANY(:ids)")
        conn.execute(renamed, {"ids": [WASTED, LOST] if second == "twice" else []})
    engine.dispose()
    path = corrections(f"request_id,cost_usd\nr-1,0\n{second},0\n")

    refused = run("attempts", "correct", "--csv", path, "--why", "x", database=own_day_url)

    assert isinstance(refused.exception, refusal)
    assert why in str(refused.exception)
    [budget] = json.loads(run("report", "budget", "--json", database=own_day_url).stdout)
    assert budget["spent_nusd"] == 100


def test_a_file_that_is_no_text_is_refused(run: Run, day_url: str, tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    path.write_bytes(HEAD.encode() + b"\xff\xfe")

    refused = run("attempts", "correct", "--csv", str(path), "--why", "x", database=day_url)

    assert isinstance(refused.exception, BadCorrections)


def test_more_corrections_than_a_file_may_have_are_refused(
    run: Run, day_url: str, corrections: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections_file, "CORRECTIONS_MAX", 1)
    path = corrections(f"{HEAD}{ANSWERED},0\n{WASTED},0\n")

    refused = run("attempts", "correct", "--csv", path, "--why", "x", database=day_url)

    assert "more than 1 corrections" in str(refused.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ("correct", "--why", "x"),
        ("correct", str(ANSWERED), "--why", "x"),
        ("correct", str(ANSWERED), "--cost", "1"),
        ("correct", str(ANSWERED), "--cost", "1", "--why", " "),
        ("correct", str(ANSWERED), "--cost", "1", "--csv", "-", "--why", "x"),
        ("show",),
    ],
)
def test_what_is_missing_is_asked_for(run: Run, day_url: str, arguments: tuple[str, ...]) -> None:
    refused = run("attempts", *arguments, database=day_url)

    assert refused.exit_code == 2
    assert "Usage" in refused.stderr


def test_a_call_is_found_by_what_its_provider_calls_it(run: Run, day_url: str) -> None:
    found = json.loads(
        run("attempts", "show", "--request", "r-1", "--json", database=day_url).stdout
    )

    assert [call["job"] for call in found] == ["a"]
    of_b = run("attempts", "show", "--request", "r-2", "--job", "b", database=day_url).stdout
    assert str(WASTED) in of_b
    assert str(ANSWERED) not in of_b
    of_both = run("attempts", "show", "--request", "r-1", "--job", "b", database=day_url).stdout
    assert "no such call" in of_both
    assert "no such call" in run("attempts", "show", "--job", "z", database=day_url).stdout
