"""What clients and the service say to each other: the shapes of all messages."""

import difflib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from scheduler.domain.job import CLIENT_TASKS, OWN_JOB_IDS, DataClass, Reduction, Task, When
from scheduler.domain.money import NUSD_PER_USD, BadAmount, nusd_from_usd
from scheduler.intake.json_schemas import check_schema

JOB_ID_BYTES_MAX = 200
TAGS_MAX = 50
LABELS_MAX = 1_000
REGIONS_MAX = 50
QUESTION_MAX = 10_000
WORDS_MAX = 100_000
WORTH_NUSD_MAX = 1_000_000 * NUSD_PER_USD
"""The most that one answer may be said to gain or lose."""


TASKS = frozenset(map(str, CLIENT_TASKS))


def _nusd(amount: object) -> int:
    # A bool is a number to Python; `"max_cost_usd": true` is a mistake all the same.
    if isinstance(amount, bool) or not isinstance(amount, str | int | float):
        raise PydanticCustomError("usd", 'write USD like 5, 0.25 or "0.25"')
    try:
        return nusd_from_usd(amount)
    except BadAmount as error:
        raise PydanticCustomError("usd", "{said}", {"said": str(error)}) from None


def _task(task: object) -> object:
    """The commonest mistake of all gets the nearest word."""
    if isinstance(task, str) and task not in TASKS:
        near = difflib.get_close_matches(task, list(CLIENT_TASKS), n=1)
        hint = f"; did you mean {str(near[0])!r}?" if near else ""
        words = ", ".join(CLIENT_TASKS)
        raise PydanticCustomError(
            "task", "is none of {words}{hint}", {"words": words, "hint": hint}
        )
    return task


Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
JobId = Annotated[
    str,
    # No control characters: ids are printed in logs, reports and terminals.
    StringConstraints(min_length=1, max_length=JOB_ID_BYTES_MAX, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(description="The client's own id; the same id is the same job. At most 200 bytes."),
]
Usd = Annotated[
    int,
    BeforeValidator(_nusd),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^[0-9.]+$"}]}
    ),
]
ClientTask = Annotated[
    Task,
    WithJsonSchema({"type": "string", "enum": list(map(str, CLIENT_TASKS)), "title": "Task"}),
]
Region = Annotated[
    str,
    StringConstraints(to_lower=True, max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$"),
]


class Message(BaseModel):
    """What all messages to the service share.

    A field that is not known is refused, since a misspelt limit is money spent, unless its
    name begins with `x-`: those are the sender's own, and are not looked at.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="allow",
        json_schema_extra={
            "additionalProperties": False,
            "patternProperties": {"^x-": {"description": "The sender's own; not looked at."}},
        },
    )

    @model_validator(mode="after")
    def _no_unknown_field(self) -> Self:
        if self.__pydantic_extra__:
            for name in self.__pydantic_extra__:
                if not name.startswith("x-"):
                    raise unknown_field(name, type(self))
        return self


def unknown_field(name: str, kind: type[BaseModel]) -> PydanticCustomError:
    """The refusal of a field called *name*, with the known field that is nearest."""
    known = [field.alias or called for called, field in kind.model_fields.items()]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return PydanticCustomError(
        "unknown_field",
        "{name} is no known field; {hint}Fields of your own begin with x-",
        {"name": repr(name[:100]), "hint": hint},
    )


class JobMessage(Message):
    """A job: one document (`text`, or `path` of a file the service can read) with one task."""

    model_config = ConfigDict(title="Job")

    job_id: JobId
    task: Annotated[ClientTask, BeforeValidator(_task)] = Field(description="What is to be done.")
    text: str | None = Field(default=None, description="The document itself.")
    path: str | None = Field(
        default=None,
        min_length=1,
        max_length=4_096,
        description="A file under one of the service's roots (APPORTION_ROOTS), in place of text.",
    )
    scope: str | None = Field(
        default=None,
        max_length=302,
        description="Who pays: organisation/team/project, like acme/legal/contracts.",
    )
    priority: int | None = Field(default=None, ge=1, le=9, description="1 (least) to 9 (most).")
    deadline: AwareDatetime | None = Field(
        default=None, description="When the result is worth nothing any more; with its time zone."
    )
    min_quality: float | None = Field(
        default=None, ge=0.0, le=1.0, description="No offer that is expected to do worse is used."
    )
    max_cost_usd: Usd | None = Field(
        default=None, description="The most the job may cost, in USD; a text keeps every digit."
    )
    gain_usd: Usd | None = Field(
        default=None,
        description="What a good answer is worth, in USD; the policy's figure when left out.",
    )
    loss_usd: Usd | None = Field(
        default=None, description="What a bad answer costs, beside its price; likewise."
    )
    residency: tuple[Region, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=REGIONS_MAX,
        description="Regions where the document may be processed; everywhere when left out.",
    )
    data_class: DataClass | None = Field(default=None, description="How sensitive it is.")
    when: When | None = Field(default=None, description="now (else), or with the others at night.")
    tags: dict[Name, Annotated[str, StringConstraints(max_length=1_000)]] | None = Field(
        default=None,
        max_length=TAGS_MAX,
        description="Names for chargeback; passed through to the result.",
    )
    json_schema: dict[str, Any] | None = Field(
        default=None, alias="schema", description="For extract: the answer's JSON Schema."
    )
    labels: tuple[Name, ...] | None = Field(
        default=None, min_length=2, max_length=LABELS_MAX, description="For classify."
    )
    question: str | None = Field(
        default=None, min_length=1, max_length=QUESTION_MAX, description="For answer."
    )
    words: int | None = Field(
        default=None, ge=1, le=WORDS_MAX, description="For summarize: about how long."
    )

    @field_validator("job_id")
    @classmethod
    def _short_in_bytes(cls, job_id: str) -> str:
        if not job_id.isascii() and len(job_id.encode()) > JOB_ID_BYTES_MAX:
            raise PydanticCustomError("job_id", "is longer than 200 bytes of UTF-8")
        if job_id.startswith(OWN_JOB_IDS):
            raise PydanticCustomError(
                "job_id", "begins with {own}, which is the service's own", {"own": OWN_JOB_IDS}
            )
        return job_id

    @field_validator("gain_usd", "loss_usd")
    @classmethod
    def _worth_of_one_answer(cls, nusd: int | None) -> int | None:
        if nusd is not None and nusd > WORTH_NUSD_MAX:
            most = WORTH_NUSD_MAX // NUSD_PER_USD
            raise PydanticCustomError("worth", "is more than {most} USD", {"most": most})
        return nusd

    @field_validator("deadline")
    @classmethod
    def _in_this_age(cls, deadline: datetime | None) -> datetime | None:
        # Beyond, a time zone's few hours lead to years that Python or Postgres do not have.
        if deadline is not None and not 2000 <= deadline.year <= 9000:
            raise PydanticCustomError("deadline", "lies before the year 2000 or after 9000")
        return deadline

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if labels is not None and len(set(labels)) < len(labels):
            raise PydanticCustomError("labels", "names a label twice")
        return labels

    @field_validator("json_schema")
    @classmethod
    def _valid_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None and (problem := check_schema(schema)):
            raise PydanticCustomError("json_schema", "{problem}", {"problem": problem})
        return schema

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.text is None) == (self.path is None):
            raise PydanticCustomError("document", "give either text or path, and not both")
        if self.text is not None and (not self.text or self.text.isspace()):
            raise PydanticCustomError("document", "text is empty")
        given = self.params()
        needed = NEEDS.get(self.task)
        if needed and needed not in given:
            raise PydanticCustomError(
                "needs", "{task} needs {field}", {"task": self.task, "field": needed}
            )
        for name in given:
            if name != TAKES[self.task]:
                raise PydanticCustomError(
                    "extra", "{name} is not for {task}", {"name": name, "task": self.task}
                )
        return self

    def params(self) -> dict[str, Any]:
        """What the task was given beside the document."""
        given: dict[str, Any] = {}
        if self.json_schema is not None:
            given["schema"] = self.json_schema
        if self.labels is not None:
            given["labels"] = self.labels
        if self.question is not None:
            given["question"] = self.question
        if self.words is not None:
            given["words"] = self.words
        return given


NEEDS: Mapping[Task, str] = {
    Task.EXTRACT: "schema",
    Task.CLASSIFY: "labels",
    Task.ANSWER: "question",
}
TAKES: Mapping[Task, str] = {**NEEDS, Task.SUMMARIZE: "words"}


class FeedbackKind(StrEnum):
    """What became of a result."""

    USE = "use"
    EDIT = "edit"
    IGNORE = "ignore"
    SCORE = "score"
    REFERENCE = "reference"


class FeedbackMessage(Message):
    """What a reader made of a job's result."""

    model_config = ConfigDict(title="Feedback")

    job_id: JobId
    kind: FeedbackKind = Field(
        description="The result was used, edited, ignored or scored; or how it should read is told."
    )
    scope: str | None = Field(
        default=None, max_length=302, description="The job's scope, or its organisation alone."
    )
    score: float | None = Field(default=None, ge=0.0, le=1.0, description="For score: 0 to 1.")
    reference: Any = Field(
        default=None,
        description="For reference: the right answer, a text or an object, to score the result by.",
    )
    seconds: float | None = Field(
        default=None, ge=0.0, le=1e9, allow_inf_nan=False, description="Working time saved."
    )

    @model_validator(mode="after")
    def _score_with_score(self) -> Self:
        if (self.kind is FeedbackKind.SCORE) != (self.score is not None):
            raise PydanticCustomError("score", "kind score and the field score go together")
        if (self.kind is FeedbackKind.REFERENCE) != (self.reference is not None):
            raise PydanticCustomError(
                "reference", "kind reference and the field reference go together"
            )
        return self


class ResultEvent(BaseModel):
    """A job's result, published once; keyed by `job_id`."""

    model_config = ConfigDict(title="Result", strict=True, frozen=True, extra="allow")

    job_id: str
    scope: str = Field(description="Whose job it is, like acme/legal/contracts.")
    task: ClientTask
    status: Literal["done", "failed"]
    output: Any = Field(
        default=None, description="A text, or an object as the task's contract says."
    )
    output_omitted_bytes: int | None = Field(
        default=None,
        description="The output was too long for a message; `apportion results` has it.",
    )
    reason: str | None = Field(default=None, description="Why it failed.")
    provider: str | None = Field(default=None, description="Who answered; none when it failed.")
    model: str | None = Field(default=None, description="The model, as the provider names it.")
    offer: str | None = Field(default=None, description="The catalog's name of what was bought.")
    reduction: Reduction | None = Field(default=None, description="How far it was shortened.")
    cost_usd: str = Field(description="All that was spent on the job, failed attempts included.")
    cost_unknown_usd: str | None = Field(
        default=None, description="Set aside for calls of which it is not known what they cost."
    )
    input_tokens: int | None = Field(default=None, description="As the provider counted them.")
    output_tokens: int | None = None
    quality_predicted: float | None = Field(default=None, description="0 to 1.")
    attempts: int | None = Field(default=None, description="Calls made for the job.")
    tags: dict[str, str] = Field(default_factory=dict, description="As the job gave them.")
    plan_id: int | None = Field(default=None, description="The plan that decided; for audit.")
    finished_at: AwareDatetime | None = None


class DeadLetterEvent(BaseModel):
    """A message that was turned away.  Its text stays in the service's own table."""

    model_config = ConfigDict(title="DeadLetter", strict=True, frozen=True)

    reason: str = Field(description="What is wrong, and what to do about it.")
    source: str = Field(description="Where it came from, like kafka:documents.jobs.")
    key: str | None = Field(default=None, description="The message's key.")
    job_id: str | None = Field(default=None, description="Where it could be read.")
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class CloudEvent(BaseModel):
    """The envelope of CloudEvents 1.0 in structured mode; its other attributes are not ours."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Name
