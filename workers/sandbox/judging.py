"""What the sandbox's judge says of an answer: a score by the words it shares with the document.

It knows no more than that.  An answer whose words the document has, and has often, scores well;
whether it says the right thing with them, such a judge cannot tell.
"""

import json
import math
import re
from collections import Counter
from typing import Any, Final

from workers.prompts import Asked
from workers.ranking import STOP_WORDS

_WORD = re.compile(r"[^\W_]{2,}")
NOT_THERE: Final = "not in the document"
UNSURE: Final = 0.3
"""What an answer gets that says the document does not hold it: who knows."""


def score(asked: Asked) -> float:
    """0 to 1 for the answer in *asked*, by the task it was given for."""
    if not asked.answer.strip():
        return 0.0
    if asked.judged == "classify":
        found = _of_label(asked)
    elif asked.judged == "extract":
        found = _of_fields(asked)
    elif asked.judged == "answer":
        found = _of_reply(asked)
    else:
        found = _of_summary(asked)
    return round(min(max(found, 0.0), 1.0), 3)


def _words(text: str) -> list[str]:
    """Words that carry something, cut so that inflections agree."""
    return [word[:6] for word in _WORD.findall(text.lower()) if word not in STOP_WORDS]


def _of_summary(asked: Asked) -> float:
    """The geometric mean of two shares: of the answer that is the document's, and of what matters.

    What matters are the document's most frequent words, as many as the answer has.
    """
    used, said = Counter(_words(asked.document)), set(_words(asked.answer))
    if not said:
        return 0.0
    worth = {word: math.log1p(count) for word, count in used.items()}
    most = sum(sorted(worth.values(), reverse=True)[: len(said)])
    kept = sum(worth.get(word, 0.0) for word in said)
    faithful = len(said & used.keys()) / len(said)
    return math.sqrt(faithful * kept / most) if most else 0.0


def _of_label(asked: Asked) -> float:
    """How much the document uses the label's words, beside the label whose words it uses most."""
    used = Counter(_words(asked.document))

    def support(label: str) -> float:
        found = [math.log1p(used[word]) for word in _words(label)]
        return sum(found) / max(len(found), 1)

    best = max(map(support, asked.labels), default=0.0)
    return support(asked.answer) / best if best else UNSURE


def _of_reply(asked: Asked) -> float:
    """The share of it that is the document's; half of that is for what it has of the question."""
    if NOT_THERE in asked.answer.lower():
        return UNSURE
    used, said, wanted = (
        set(_words(one)) for one in (asked.document, asked.answer, asked.question)
    )
    if not said:
        return 0.0
    on_topic = len(said & wanted) / len(wanted) if wanted else 1.0
    return len(said & used) / len(said) * (0.5 + 0.5 * on_topic)


def _of_fields(asked: Asked) -> float:
    """The share of the schema's properties that have a value which the document states."""
    try:
        value = json.loads(asked.answer)
    except ValueError:
        return 0.0
    named = (asked.schema or {}).get("properties") or {}
    if not isinstance(value, dict) or not named:
        return 0.0
    text = " ".join(asked.document.lower().split())
    return sum(_is_stated(value.get(name), text) for name in named) / len(named)


def _is_stated(value: Any, text: str) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_stated(one, text) for one in value)
    if value is None or isinstance(value, dict):
        return False
    if isinstance(value, bool):
        return True
    said = f"{value:g}" if isinstance(value, float) else str(value)
    return " ".join(said.lower().split()) in text or said in text.replace(",", "")
