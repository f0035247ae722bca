"""Adapters and the whole bot against real servers of the lab."""
