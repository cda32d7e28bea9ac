"""Which adapter speaks which protocol."""

from collections.abc import Callable

import aiohttp

from scheduler.domain.listing import Protocol, ProviderAccess
from workers.calls import Adapter
from workers.providers.anthropic import AnthropicAdapter
from workers.providers.extractive import ExtractiveAdapter
from workers.providers.gemini import GeminiAdapter
from workers.providers.openai import OpenAiAdapter

_ADAPTERS: dict[Protocol, Callable[[ProviderAccess, aiohttp.ClientSession], Adapter]] = {
    Protocol.OPENAI: OpenAiAdapter,
    Protocol.ANTHROPIC: AnthropicAdapter,
    Protocol.GEMINI: GeminiAdapter,
    Protocol.EXTRACTIVE: ExtractiveAdapter,
}


def adapter_for(access: ProviderAccess, client: aiohttp.ClientSession) -> Adapter:
    """The adapter that speaks *access*'s protocol, over the shared *client*."""
    return _ADAPTERS[access.protocol](access, client)
