"""Tests, and the lab they run against."""
