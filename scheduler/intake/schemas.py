"""The published shapes of all messages: JSON Schemas, and AsyncAPI for the topics."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from scheduler.intake.wire import (
    NEEDS,
    TAKES,
    DeadLetterEvent,
    FeedbackMessage,
    JobMessage,
    ResultEvent,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI: Final = "3.0.0"
MESSAGES: Final[Mapping[str, type[BaseModel]]] = {
    "job": JobMessage,
    "feedback": FeedbackMessage,
    "result": ResultEvent,
    "dead_letter": DeadLetterEvent,
}
TOPICS: Final = {
    "jobs": ("documents.jobs", "job", "receive", "Jobs for the service to do."),
    "feedback": ("documents.feedback", "feedback", "receive", "What became of results."),
    "results": ("documents.results", "result", "send", "Each job's result, once."),
    "dead": ("documents.dead", "dead_letter", "send", "Messages that were turned away."),
}


def documents() -> dict[str, str]:
    """Each file's name and content."""
    schemas = {f"{name}.schema.json": schema_of(name) for name in MESSAGES}
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in {**schemas, "asyncapi.json": asyncapi()}.items()
    }


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of the message called *name*."""
    model = MESSAGES[name]
    # What is sent may leave its defaults out, and so may what is received.
    schema = {"$schema": DIALECT} | model.model_json_schema(mode="validation")
    if model is JobMessage:
        schema |= _job_rules()
    if model is FeedbackMessage:
        schema |= {"allOf": [_goes_with_its_kind(name) for name in ("score", "reference")]}
    return schema


def _goes_with_its_kind(name: str) -> dict[str, Any]:
    """Feedback of the kind *name* has the field of that name, and no other has it."""
    return {
        "if": {"properties": {"kind": {"const": name}}},
        "then": {"required": [name]},
        "else": {"properties": {name: {"type": "null"}}},
    }


def _job_rules() -> dict[str, Any]:
    """What the fields ask of each other."""
    rules = []
    for task, own in TAKES.items():
        others = {name for name in TAKES.values() if name != own}
        then: dict[str, Any] = {"properties": {name: {"type": "null"} for name in sorted(others)}}
        if task in NEEDS:
            then["required"] = [NEEDS[task]]
        rules.append({"if": {"properties": {"task": {"const": str(task)}}}, "then": then})
    document = [{"required": ["text"]}, {"required": ["path"]}]
    return {"oneOf": document, "allOf": rules}


def asyncapi() -> dict[str, Any]:
    """The topics and their messages, as AsyncAPI 3."""
    channels, operations = {}, {}
    for channel, (address, message, action, summary) in TOPICS.items():
        channels[channel] = {
            "address": address,
            "description": summary,
            "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        }
        operations[f"{action}_{channel}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
        }
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Apportion",
            "version": "1",
            "description": "Topics' names are the defaults; the installation may have others.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": {name: _message(name) for name in MESSAGES}},
    }


def _message(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "contentType": "application/json",
        "payload": {"$ref": f"./{name}.schema.json"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The job's id."}}},
    }
