"""Logs as the settings have them, with every secret of the environment taken out."""

import os

from scheduler.logs import Redactor, configure, known_secrets
from scheduler.settings import Settings


def configure_logs(settings: Settings, *, level: str | None = None) -> None:
    """Set up this process's logs, at *level* or the settings' own."""
    configure(
        level=level or settings.log_level,
        as_json=settings.log_json,
        redactor=Redactor(known_secrets(os.environ)),
    )
