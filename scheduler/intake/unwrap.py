"""CloudEvents 1.0: the message inside an envelope, or beside its attributes in the headers."""

import base64
import json
from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from scheduler.domain.errors import Refused
from scheduler.intake.wire import CloudEvent

Headers = Sequence[tuple[str, bytes | None]]

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"


class BadCloudEvent(Refused):
    """An envelope, or a header, is not as CloudEvents 1.0 has it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"as a CloudEvent: {reason}")
        self.reason = reason


def unwrap(value: bytes, headers: Headers, *, guess: bool = False) -> bytes:
    """The message (JSON) that *value* is or holds.

    In binary mode the headers carry the attributes and *value* is the message; in structured
    mode (said by the content type, or by the envelope's own fields if *guess*) it is inside.

    Raises:
        BadCloudEvent: it says that it is one, and is not.
    """
    said = _content_type(headers)
    if said == BATCHED:
        raise BadCloudEvent("send one event per message; batches are not taken")
    if said == STRUCTURED:
        return _inside(value)
    version = next((text for name, text in headers if name == "ce_specversion"), b"1.0")
    if version != b"1.0":
        raise BadCloudEvent(f"specversion {version!r} is not known; send 1.0")
    if guess and b'"specversion"' in value:
        return _inside(value)
    return value


def _content_type(headers: Iterable[tuple[str, bytes | None]]) -> str:
    for name, said in headers:
        if name.lower() == "content-type" and said:
            return said.decode(errors="replace").partition(";")[0].strip().lower()
    return ""


def _inside(value: bytes) -> bytes:
    try:
        envelope = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadCloudEvent(f"it is not JSON: {error}") from None
    try:
        CloudEvent.model_validate(envelope)
    except ValidationError as error:
        wrong = ", ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise BadCloudEvent(wrong) from None
    if isinstance(encoded := envelope.get("data_base64"), str):
        try:
            return base64.b64decode(encoded, validate=True)
        except ValueError:
            raise BadCloudEvent("data_base64 is not base64") from None
    if "data" not in envelope:
        raise BadCloudEvent("it has no data")
    return json.dumps(envelope["data"]).encode()
