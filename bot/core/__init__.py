"""Decisions. Pure: no I/O, no clock, no randomness, no asyncio; everything they need comes as arguments."""
