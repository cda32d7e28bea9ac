"""What a sandbox model answers: made from the document by rules, good or bad by its effort."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from workers.extracting import summary
from workers.prompts import Asked
from workers.ranking import sentences
from workers.sandbox.judging import score
from workers.sandbox.models import Skill

NOT_THERE: Final = "Not in the document."

_WORD = re.compile(r"[^\W_]{2,}")
_NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?"
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
)
_DATE = rf"\d{{4}}-\d\d-\d\d|{_MONTH} \d{{1,2}}, \d{{4}}|\d{{1,2}} {_MONTH} \d{{4}}"
_BY_NAME: Final = (
    (re.compile(r"date|day|when|deadline", re.IGNORECASE), re.compile(_DATE)),
    (re.compile(r"e?-?mail", re.IGNORECASE), re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    (re.compile(r"url|link|web", re.IGNORECASE), re.compile(r"https?://[^\s)>\]]+")),
    (
        re.compile(r"amount|price|cost|total|budget|fund|value", re.IGNORECASE),
        re.compile(rf"(?:USD|EUR|[$€£])\s?{_NUMBER}(?: (?:million|billion|thousand))?"),
    ),
    (
        re.compile(r"name|person|author|company|agency|organi[sz]ation|party", re.IGNORECASE),
        re.compile(r"[A-Z][\w.&'-]+(?: (?:of |the |for )?[A-Z][\w.&'-]+)+"),
    ),
)


def answer(asked: Asked, skill: Skill) -> str:
    """The model's answer to what was *asked*."""
    if asked.task == "judge":
        return orjson.dumps({"score": score(asked)}).decode()
    if asked.task == "classify" and asked.labels:
        return _label(asked.document, asked.labels, skill)
    if asked.task == "extract" or asked.schema is not None:
        return _extract(asked.document, asked.schema or {}, skill)
    if asked.task == "answer" and asked.question:
        return _reply(asked.document, asked.question, skill)
    return summary(asked.document, words_max=asked.words, effort=skill.effort) or NOT_THERE


def _lines(document: str, skill: Skill) -> list[str]:
    return [document[start:end] for start, end in sentences(document, most=skill.sentences_read)]


def _words(text: str, skill: Skill) -> list[str]:
    """Words in lower case; for the better models, their beginnings, so that inflections agree."""
    words = _WORD.findall(text.lower())
    return [word[:6] for word in words] if skill.weighs_words else words


def _label(document: str, labels: Sequence[str], skill: Skill) -> str:
    """The label whose words the document uses most; a guess where it uses none."""
    used = Counter(_words(" ".join(_lines(document, skill)), skill))
    scores = []
    for label in labels:
        found = [used[word] for word in _words(label, skill)]
        scores.append(sum(math.log1p(count) for count in found) / max(len(found), 1))
    if max(scores) > 0:
        return labels[scores.index(max(scores))]
    if not skill.finds_types:
        return labels[0]
    return labels[hashlib.sha256(document.encode("utf-8", "replace")).digest()[0] % len(labels)]


def _reply(document: str, question: str, skill: Skill) -> str:
    """The sentence that shares most with the question."""
    lines = _lines(document, skill)
    wanted = {word for word in _words(question, skill) if len(word) > 3}
    shared = [wanted.intersection(_words(line, skill)) for line in lines]
    if not any(shared):
        return NOT_THERE
    if not skill.finds_types:
        return " ".join(
            next(line for line, words in zip(lines, shared, strict=True) if words).split()
        )
    common = Counter(word for words in shared for word in words)

    def worth(at: int) -> float:
        if not skill.weighs_words:
            return len(shared[at])
        rarity = sum(math.log(1 + len(lines) / common[word]) for word in shared[at])
        return rarity / (1 + math.log1p(len(lines[at]) / 400))

    best = max(range(len(lines)), key=worth)
    return " ".join(lines[best].split())


def _extract(document: str, schema: Mapping[str, Any], skill: Skill) -> str:
    """A JSON object of the schema's properties, as far as they are found."""
    text = "\n".join(_lines(document, skill))
    found: dict[str, Any] = {}
    for name, about in (schema.get("properties") or {}).items():
        rule = about if isinstance(about, dict) else {}
        value = _field(text, name, rule, skill)
        if value is not None:
            found[name] = value
        elif "null" in _types(rule):
            found[name] = None
    return orjson.dumps(found).decode()


def _types(rule: Mapping[str, Any]) -> list[str]:
    kinds = rule.get("type", "string")
    return list(kinds) if isinstance(kinds, list) else [str(kinds)]


def _field(text: str, name: str, rule: Mapping[str, Any], skill: Skill) -> Any:
    """The value of one property, or None."""
    kinds = _types(rule)
    if "array" in kinds:
        item = _field(text, name, rule.get("items") or {}, skill)
        return [] if item is None else [item]
    options = rule.get("enum")
    if options:
        low = text.lower()
        return next((one for one in options if str(one).lower() in low), None)
    said = _said(text, name, kinds, skill)
    return None if said is None else _typed(said, kinds)


def _said(text: str, name: str, kinds: list[str], skill: Skill) -> str | None:
    """The words that stand for the property in the text."""
    spoken = re.sub(r"[_-]+|(?<=[a-z])(?=[A-Z])", " ", name)
    beside = re.search(rf"\b{re.escape(spoken)}\s*[:=]\s*([^\n;]+)", text, re.IGNORECASE)
    if beside:
        return beside[1].strip()[:200]
    if not skill.finds_types:
        return None
    shape = next((shape for named, shape in _BY_NAME if named.search(spoken)), None)
    if shape is None and {"number", "integer"} & set(kinds):
        shape = re.compile(_NUMBER)
    if skill.finds_near:
        near = re.search(rf"[^\n]*\b{re.escape(spoken.split()[-1])}[^\n]*", text, re.IGNORECASE)
        if near:
            value = shape.search(near[0]) if shape else None
            return value[0] if value else " ".join(near[0].split())[:200]
    value = shape.search(text) if shape else None
    return value[0] if value else None


def _typed(said: str, kinds: list[str]) -> Any:
    if {"number", "integer"} & set(kinds):
        number = re.search(_NUMBER, said)
        if number is None:
            return None
        figure = float(number[0].replace(",", ""))
        return int(figure) if "integer" in kinds or figure.is_integer() else figure
    if "boolean" in kinds:
        return not re.search(r"\b(no|not|none|false|never)\b", said, re.IGNORECASE)
    return said
