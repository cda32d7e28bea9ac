"""Backtests: what planning would have done with outcomes that are already known."""
