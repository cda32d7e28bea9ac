"""The sandbox's faults: which call goes wrong, and how; fixed by the rules and a seed."""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scheduler.domain.errors import Refused


class Fault(StrEnum):
    """What can go wrong.  Those from `hang` on are billed: the work was done, the answer is bad."""

    TOO_MANY = "429"
    NO_FUNDS = "quota"
    BAD_KEY = "401"
    FILTERED = "filtered"
    ERROR = "500"
    OVERLOADED = "503"
    HANG = "hang"
    CUT = "cut"
    MALFORMED = "malformed"
    NO_USAGE = "no_usage"
    WRONG_USAGE = "wrong_usage"
    REFUSAL = "refusal"
    SLOW = "slow"


class BadFaults(Refused):
    """A script of faults is wrong; the message names the place."""

    def __init__(self, problems: str) -> None:
        super().__init__(
            f"faults: {problems}; write them like "
            '{"rules": [{"model": "sandbox-large", "fault": "500", "skip": 20, "count": 30}]}'
        )
        self.problems = problems


class Rule(BaseModel):
    """Calls to *model* (`*`: any) that go wrong: *count* of them after the first *skip*.

    Of those, the share *rate* is hit.  `wait_s` is how long a `hang` or a `slow` takes, and
    what a `429` or `503` asks to wait.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "*"
    fault: Fault
    skip: Annotated[int, Field(ge=0)] = 0
    count: Annotated[int, Field(ge=1)] | None = None
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    wait_s: Annotated[float, Field(ge=0, le=3600)] | None = None

    def covers(self, *, model: str, ordinal: int) -> bool:
        """Whether the rule is about the *ordinal*-th call (from 0) to *model*."""
        return (
            self.model in ("*", model)
            and ordinal >= self.skip
            and (self.count is None or ordinal < self.skip + self.count)
        )


class Script(BaseModel):
    """The faults of a sandbox.  The first rule that hits a call decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 1
    rules: tuple[Rule, ...] = ()

    def fate(self, *, model: str, ordinal: int) -> Rule | None:
        """What becomes of the *ordinal*-th call to *model*; None if it goes well."""
        for number, rule in enumerate(self.rules):
            if rule.covers(model=model, ordinal=ordinal) and (
                rule.rate >= 1 or self._drawn(number, model, ordinal) < rule.rate
            ):
                return rule
        return None

    def _drawn(self, rule: int, model: str, ordinal: int) -> float:
        """A number in [0, 1), the same for the same seed, rule and call."""
        draw = hashlib.sha256(f"{self.seed}/{rule}/{model}/{ordinal}".encode()).digest()
        return int.from_bytes(draw[:8]) / 2**64


def read_script(source: str) -> Script:
    """The script that *source* is: JSON, or `@` and the path of a file with it.

    Raises:
        BadFaults: it is none.
    """
    if source.startswith("@"):
        try:
            source = Path(source[1:]).read_text()
        except OSError as error:
            raise BadFaults(f"cannot read {source[1:]}: {error.strerror}") from None
    try:
        return Script.model_validate_json(source)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(step) for step in one['loc']) or 'the script'}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        raise BadFaults(problems) from None
