"""Structured logs, as JSON or for a terminal; secrets are taken out before a line is written."""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import date, datetime
from typing import Any, TextIO
from urllib.parse import unquote

import structlog

HIDDEN = "***"
SECRET_FIELD = re.compile(r"(?i)(api[_-]?key|token|secret|password|passwd|authorization|cookie)$")
"""What a field is called whose value is a secret; a mere `key` is a job's or a message's."""

SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")
"""What an environment variable is called whose value is a secret."""

SHORTEST_SECRET = 6
"""Shorter values are not looked for: they would be found inside ordinary words."""

CHATTY = ("alembic", "kafka")
"""Libraries whose every step is an INFO; theirs are shown from WARNING, or with DEBUG."""

BUSY = "kafka.net.selector"
"""It warns of each tenth of a second for which the machine did something else."""

REPETITIVE = ("amqp", "celery", "kafka", "kombu")
"""Libraries that tell of a server that is away several times a second, as long as it is."""

REPEAT_S = 30.0
"""How long such a library is not heard with what it has just said, apart from its numbers."""

KINDS_MAX = 1_000
"""Of how many such lines the time is kept."""

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?")
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/]+(?=@)")
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|x-api-key|x-goog-api-key|api-key)"
    r"([\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;}]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")
_QUERY = re.compile(r"(?i)([?&](?:key|api_key|token|access_token|sig)=)[^&\s\"']+")
_PROVIDER_KEY = re.compile(r"\b(?:sk|gsk|xai|pplx)[-_][A-Za-z0-9_-]{12,}|\bAIza[A-Za-z0-9_-]{20,}")

Event = MutableMapping[str, Any]


class Redactor:
    """Takes secrets out of text: the values it is given, and what has a secret's shape.

    A structlog processor, too: it goes over every field of an event, however deep.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len)
        # The longest first: a secret may be a part of another.
        self._known = re.compile("|".join(map(re.escape, reversed(known)))) if known else None

    def text(self, text: str) -> str:
        """*text* without its secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = _URL_PASSWORD.sub(rf"\1{HIDDEN}", text)
        text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
        text = _QUERY.sub(rf"\1{HIDDEN}", text)
        return _PROVIDER_KEY.sub(HIDDEN, text)

    def value(self, value: Any) -> Any:
        """*value* without its secrets; what is not plain data becomes its text."""
        match value:
            case None | bool() | int() | float() | date() | datetime():
                return value
            case str():
                return self.text(value)
            case Mapping():
                return {
                    str(name): HIDDEN if SECRET_FIELD.search(str(name)) else self.value(inner)
                    for name, inner in value.items()
                }
            case list() | tuple() | set() | frozenset():
                return [self.value(inner) for inner in value]
            case bytes():
                return self.text(value.decode(errors="replace"))
            case _:
                return self.text(str(value))

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        redacted = self.value(event)
        assert isinstance(redacted, dict)
        return redacted


class Seldom(logging.Filter):
    """Leaves out what a repetitive library has just said; the next time it says how often."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether *record* is to be written."""
        if not record.name.startswith(REPETITIVE):
            return True
        kind = record.name, _NUMBER.sub("#", record.getMessage())
        now = self._clock()
        said_at, left_out = self._said.get(kind, (-REPEAT_S, 0))
        if now - said_at < REPEAT_S:
            self._said[kind] = said_at, left_out + 1
            return False
        if len(self._said) >= KINDS_MAX:
            self._said.clear()
        self._said[kind] = now, 0
        if left_out:
            record.left_out = left_out
        return True


class Traceless(logging.Filter):
    """Makes a word of the traceback by which a repetitive library tells of a lost connection."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether *record* is to be written; it always is."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OSError) and record.name.startswith(REPETITIVE):
            record.exc_info = None
            record.error = f"{type(error).__name__}: {error}"
        return True


def known_secrets(environ: Mapping[str, str], *, key_variables: Iterable[str] = ()) -> set[str]:
    """The secrets in *environ*: of *key_variables*, of names like SOME_KEY, in URLs and in JSON."""
    named = set(key_variables)
    secrets = set()
    for name, value in environ.items():
        if name in named or SECRET_VARIABLE.search(name):
            secrets.add(value)
        secrets |= _url_passwords(value) | _json_secrets(value)
    return secrets


def configure(
    *,
    level: str,
    as_json: bool,
    redactor: Redactor,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send every log of this process, the libraries' too, to *stream* (stderr), redacted.

    *level* is one of logging's names.  Called once, by a process's entry point.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Text before redaction: a traceback may quote a secret, and a renderer's own would.
        structlog.processors.format_exc_info,
        structlog.processors.StackInfoRenderer(),
    ]
    out = stream or sys.stderr
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    handler = logging.StreamHandler(out)
    if level.upper() != "DEBUG":
        handler.addFilter(Seldom(clock=clock))
        handler.addFilter(Traceless())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redactor,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for library in CHATTY:
        quiet = max(root.level, logging.WARNING)
        logging.getLogger(library).setLevel(root.level if root.level <= logging.DEBUG else quiet)
    logging.getLogger(BUSY).setLevel(max(root.level, logging.ERROR))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _url_passwords(text: str) -> set[str]:
    found = re.findall(r"://[^\s/:@]*:([^\s/]+)@", text)
    # As it was written, and as a driver decodes it before it puts it into an error.
    return {*found, *map(unquote, found)}


def _json_secrets(text: str) -> set[str]:
    if not text.startswith("{"):
        return set()
    try:
        fields = json.loads(text)
    except json.JSONDecodeError:
        return set()
    return {str(value) for name, value in fields.items() if SECRET_FIELD.search(name)}
