"""Calls are made on uvloop where there is one, and are made all the same where there is none."""

import asyncio
import sys

import pytest
import uvloop

from workers.loop import run


async def here() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_calls_are_made_on_uvloop() -> None:
    assert isinstance(run(here()), uvloop.Loop)


def test_where_there_is_no_uvloop_the_standard_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert isinstance(run(here()), asyncio.SelectorEventLoop)


def test_the_loop_is_closed_when_all_is_done() -> None:
    assert run(here()).is_closed()
