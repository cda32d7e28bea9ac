"""Why a message was turned away, in words for the person who sent it."""

from pydantic import ValidationError

REASON_MAX = 2_000


def reason_of(error: Exception) -> str:
    """The reason, without any of the document's text in it."""
    if isinstance(error, ValidationError):
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        told = [_one(problem["loc"], problem["msg"]) for problem in problems[:5]]
        more = len(problems) - len(told)
        return _cut("; ".join(told) + (f"; and {more} more" if more else ""))
    return _cut(str(error))


def _one(where: tuple[int | str, ...], said: str) -> str:
    if not where:
        if said.startswith("Invalid JSON"):
            return f"{said}; send one JSON object in UTF-8 per message"
        return said
    # Pydantic speaks of Python's types; the sender has a list.
    plain = said.replace("Tuple should", "should").replace(" after validation", "")
    return f"{'.'.join(str(part)[:100] for part in where)}: {plain[:1].lower()}{plain[1:]}"


def _cut(reason: str) -> str:
    # What Postgres cannot hold must not come back in by way of a reason.
    plain = reason.replace("\0", "\\0").encode(errors="replace").decode()
    return plain if len(plain) <= REASON_MAX else plain[: REASON_MAX - 1] + "…"
