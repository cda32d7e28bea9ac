"""Duties: one process has each, and loses it when it dies."""

from sqlalchemy import Engine, text

from scheduler.store.locks import Duty, on_duty


def test_a_duty_is_one_sessions_at_a_time(engine: Engine) -> None:
    with on_duty(engine, Duty.PLANNING) as first:
        assert first is not None
        with on_duty(engine, Duty.PLANNING) as second:
            assert second is None
        with on_duty(engine, Duty.RINGING) as other:
            assert other is not None
    with on_duty(engine, Duty.PLANNING) as again:
        assert again is not None


def test_whoever_waits_gives_up_in_time(engine: Engine) -> None:
    with on_duty(engine, Duty.PLANNING), on_duty(engine, Duty.PLANNING, wait_s=0.05) as second:
        assert second is None
    with on_duty(engine, Duty.PLANNING, wait_s=0.05) as third:
        assert third is not None


def test_a_duty_ends_with_an_error(engine: Engine) -> None:
    try:
        with on_duty(engine, Duty.PLANNING) as duty:
            assert duty is not None
            duty.execute(text("SELECT 1"))
            raise KeyError
    except KeyError:
        pass
    with on_duty(engine, Duty.PLANNING) as again:
        assert again is not None


def test_a_duty_is_lost_with_its_connection_and_nothing_more_is_written_under_it(
    engine: Engine,
) -> None:
    with on_duty(engine, Duty.PLANNING) as duty:
        assert duty is not None
        [pid] = duty.execute(text("SELECT pg_backend_pid()")).scalars()
        duty.commit()
        with engine.begin() as conn:
            # Ended when this returns true: the lock is free then.
            conn.execute(text("SELECT pg_terminate_backend(:pid, 2000)"), {"pid": pid})
        with on_duty(engine, Duty.PLANNING) as standby:
            assert standby is not None
        duty.invalidate()
