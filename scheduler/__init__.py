"""Apportion's rooms: what is decided, kept, taken in, planned and shown."""
