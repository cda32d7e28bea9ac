"""What a check of one part says: it is well, it should be looked at, or it must be mended."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """`warning` lets the service run; `fault` does not, or puts work or money at risk."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, how it is, what was found, and what to do where something is."""

    part: str
    health: Health
    found: str
    advice: str = ""


def well(part: str, found: str) -> Check:
    return Check(part=part, health=Health.OK, found=found)


def warning(part: str, found: str, advice: str) -> Check:
    return Check(part=part, health=Health.WARNING, found=found, advice=advice)


def fault(part: str, found: str, advice: str) -> Check:
    return Check(part=part, health=Health.FAULT, found=found, advice=advice)
