"""Celery workers: they do the work, with retries and failover."""
