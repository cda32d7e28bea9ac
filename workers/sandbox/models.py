"""The sandbox's models: three efforts, so that dearer ones do better, but not on every document;
and a judge of what they answered.

What they cost is in the catalog alone, under the provider `sandbox`; the server is told.
"""

from dataclasses import dataclass
from typing import Final

from workers.extracting import Effort


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """How hard one model thinks.

    Attributes:
        effort: of its summaries.
        sentences_read: for the other tasks.
        finds_types: whether a value is also looked for by its type, not by its name alone.
        finds_near: whether a value is also looked for near its name.
        weighs_words: whether rarer words count more, and inflected ones at all.
        slowness: its share of the server's latency.
    """

    effort: Effort
    sentences_read: int
    finds_types: bool
    finds_near: bool
    weighs_words: bool
    slowness: float


SKILLS: Final = {
    "sandbox-small": Skill(
        effort=Effort(sentences_read=12, ranks=False),
        sentences_read=12,
        finds_types=False,
        finds_near=False,
        weighs_words=False,
        slowness=0.5,
    ),
    "sandbox-medium": Skill(
        effort=Effort(sentences_read=80, spreads=False),
        sentences_read=80,
        finds_types=True,
        finds_near=False,
        weighs_words=False,
        slowness=1.0,
    ),
    # Read further, it would take longer than the real call that it stands for costs to make.
    "sandbox-large": Skill(
        effort=Effort(sentences_read=400),
        sentences_read=400,
        finds_types=True,
        finds_near=True,
        weighs_words=True,
        slowness=2.0,
    ),
}
JUDGE: Final = "sandbox-judge"
"""Sold for judging alone; asked for anything else it does as well as the small one."""


def skill_of(model: str) -> Skill | None:
    """The skill of *model*; a region, as in `sandbox-large-eu`, changes nothing about it."""
    if model == JUDGE:
        return SKILLS["sandbox-small"]
    return SKILLS.get("-".join(model.split("-")[:2]))
