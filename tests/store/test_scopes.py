"""Organisations, teams and projects: made once, by whoever names them first."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from scheduler.store.scopes import BadScope, Scope, ensure_scope, list_scopes


@pytest.fixture
def conn(shared_conn: Connection) -> Connection:
    return shared_conn


def test_a_project_is_made_with_the_team_and_the_organisation_above_it(conn: Connection) -> None:
    made = ensure_scope(conn, "acme/legal/contracts")

    scopes = list_scopes(conn)
    assert scopes["acme/legal/contracts"] == made
    assert made.kind == "project"
    assert made.ids == (scopes["acme"].id, scopes["acme/legal"].id, made.id)
    assert made.tenant_id == scopes["acme"].id == scopes["acme"].tenant_id


def test_a_scope_that_is_there_is_found_again(conn: Connection) -> None:
    first = ensure_scope(conn, "acme/legal")

    assert ensure_scope(conn, "acme/legal") == first
    assert ensure_scope(conn, "acme/legal/contracts").ids[:2] == first.ids


def test_teams_of_one_name_in_two_organisations_are_two(conn: Connection) -> None:
    ours, theirs = ensure_scope(conn, "acme/legal"), ensure_scope(conn, "bolt/legal")

    assert ours.id != theirs.id
    assert ours.tenant_id != theirs.tenant_id


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "acme/",
        "/acme",
        "a/b/c/d",
        "acme//x",
        "acme legal",
        "acmé",
        "-acme",
        ".",
        "a" * 101,
    ],
)
def test_a_path_that_is_no_scope_is_refused_before_the_database_sees_it(
    conn: Connection, path: str
) -> None:
    with pytest.raises(BadScope, match="acme/legal/contracts"):
        ensure_scope(conn, path)

    assert conn.execute(text("SELECT count(*) FROM scope")).scalar_one() == 3


@pytest.mark.parametrize("name", ["a", "A1", "a.b-c_d", "0", "a" * 100])
def test_what_the_program_takes_for_a_name_the_database_takes_too(
    conn: Connection, name: str
) -> None:
    assert ensure_scope(conn, name).path == name


def test_a_job_that_names_no_scope_has_one_to_go_to(conn: Connection) -> None:
    assert list_scopes(conn)["default/default/default"].ids == (1, 2, 3)


def test_two_that_make_the_same_scope_at_once_get_the_same(engine: Engine) -> None:
    together = Barrier(4)

    def make() -> Scope:
        with engine.begin() as conn:
            together.wait(timeout=60)
            return ensure_scope(conn, "acme/legal/contracts")

    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(make) for _ in range(4)]

    assert len({future.result() for future in made}) == 1


def test_a_job_cannot_be_given_to_another_tenants_project(conn: Connection) -> None:
    ours, theirs = ensure_scope(conn, "ours/a/b"), ensure_scope(conn, "theirs/a/b")
    values = {"tenant": ours.tenant_id, "project": theirs.id, "digest": bytes(32)}
    document_id = conn.execute(
        text(
            "INSERT INTO document (tenant_id, digest, bytes, words, body, features, token_stats)"
            " VALUES (:tenant, :digest, 1, 1, 'a', '', '') RETURNING id"
        ),
        values,
    ).scalar_one()

    with pytest.raises(IntegrityError, match="project is not its tenant's"):
        conn.execute(
            text(
                "INSERT INTO job (tenant_id, project_id, key, digest, document_id, task,"
                " data_class, source) VALUES (:tenant, :project, 'k', :digest, :document,"
                " 'summarize', 'public', 'test')"
            ),
            values | {"document": document_id},
        )
