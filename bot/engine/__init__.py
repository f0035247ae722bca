"""Runs plans. Knows the outside only through ports.py."""
