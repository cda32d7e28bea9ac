"""The in-house summarizer: a document's own sentences, chosen by TextRank; no model, no call."""

import asyncio
import time

import aiohttp

from scheduler.domain.listing import ProviderAccess
from workers.calls import Answer, Call, CallRefused, Finish, Usage
from workers.extracting import summary, tokens
from workers.prompts import read_prompt

MODEL = "extractive-textrank-1"
"""What its answers name as their model, so that nobody takes them for a language model's."""


class ExtractiveAdapter:
    """Summarizes on this machine; the only task that it knows."""

    def __init__(self, access: ProviderAccess, client: aiohttp.ClientSession) -> None:  # noqa: ARG002 - every adapter is made alike
        self._provider = access.name

    async def answer(self, call: Call) -> Answer:
        """See `workers.calls.Adapter`; tokens are counted as four bytes each."""
        started = time.perf_counter()
        asked = read_prompt(call.prompt)
        if asked.task not in ("", "summarize"):
            raise CallRefused(
                provider=self._provider,
                reason=f"it only summarizes, and was asked to {asked.task}; mend its tasks "
                "in the catalog",
            )
        # Off the event loop: a long document takes milliseconds, and other calls are waiting.
        text = await asyncio.to_thread(
            summary, asked.document, words_max=min(asked.words, call.output_limit_tokens // 2 or 1)
        )
        return Answer(
            text=text,
            usage=Usage(
                input_tokens=tokens(call.system) + tokens(call.prompt), output_tokens=tokens(text)
            ),
            finish=Finish.STOP,
            model=MODEL,
            request_id="",
            seconds=time.perf_counter() - started,
        )
