"""The feedback topic's handler."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler.domain.errors import Refused
from scheduler.intake.chunk import HasNul, Refusal, TooLong, has_nul, job_id_of
from scheduler.intake.reasons import reason_of
from scheduler.intake.unwrap import Headers, unwrap
from scheduler.intake.wire import FeedbackMessage
from scheduler.store.feedback_in import IncomingFeedback, add_feedback

MESSAGE_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidFeedback:
    """What a number of messages say; and those that were turned away."""

    feedback: list[IncomingFeedback]
    refused: list[Refusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackIntake:
    """Takes in feedback.  See `scheduler.intake.batch.Handler`.

    Attributes:
        default_scope: whose job it is when a message does not say.
    """

    default_scope: str

    def read(self, values: Sequence[bytes | None], headers: Sequence[Headers]) -> SaidFeedback:
        said = SaidFeedback(feedback=[], refused=[])
        for at, value in enumerate(values):
            try:
                said.feedback.append(self._one(at, value, headers[at]))
            except (Refused, ValueError) as error:
                said.refused.append(
                    Refusal(at=at, reason=reason_of(error), job_id=job_id_of(value))
                )
        return said

    def warm_up(self) -> None:
        """There is nothing to load."""

    def store_ahead(self, conn: Connection, said: SaidFeedback) -> None:
        """Every feedback has an effect."""

    def store(
        self,
        conn: Connection,
        said: SaidFeedback,
        *,
        source: str,
        ahead: None = None,  # noqa: ARG002 - nothing is stored ahead
    ) -> list[Refusal]:
        if not said.feedback:
            return said.refused
        by_place = {one.at: one for one in said.feedback}
        orphans = add_feedback(conn, said.feedback, source=source)
        return said.refused + [_orphan(by_place[at]) for at in orphans]

    def _one(self, at: int, value: bytes | None, headers: Headers) -> IncomingFeedback:
        if value is None:
            raise Refused("the message has no value; send a JSON object")
        if len(value) > MESSAGE_BYTES_MAX:
            raise TooLong(what="message", length=len(value), limit=MESSAGE_BYTES_MAX)
        message = _message(value, headers)
        if has_nul(vars(message)):
            raise HasNul
        score = None if message.score is None else round(message.score * 1_000_000)
        tenant = (message.scope or self.default_scope).partition("/")[0]
        return IncomingFeedback(
            at,
            tenant,
            message.job_id,
            message.kind,
            score,
            message.seconds,
            _reference(message.reference),
        )


def _reference(value: Any) -> str | None:
    """*value* as JSON text that Postgres takes."""
    try:
        return None if value is None else json.dumps(value, allow_nan=False)
    except ValueError:
        raise Refused("reference: has a number that is not finite") from None


def _message(value: bytes, headers: Headers) -> FeedbackMessage:
    data = unwrap(value, headers)
    try:
        return FeedbackMessage.model_validate_json(data)
    except ValidationError:
        if (inner := unwrap(data, (), guess=True)) == data:
            raise
        return FeedbackMessage.model_validate_json(inner)


def _orphan(feedback: IncomingFeedback) -> Refusal:
    reason = (
        f"there is no job {feedback.key!r} of the organisation {feedback.tenant!r};"
        " give the job's id, and its scope if that is not the default"
    )
    return Refusal(at=feedback.at, reason=reason, job_id=feedback.key)
