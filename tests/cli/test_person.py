"""Who gives a command has a name, whatever the machine knows of him."""

import os

import pytest

from scheduler.cli.person import present_user


def test_a_user_is_named_by_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "anna")

    assert present_user() == "anna"


def test_a_user_whom_the_machine_has_no_name_for_is_named_by_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 543_210)

    assert present_user() == "uid 543210"
