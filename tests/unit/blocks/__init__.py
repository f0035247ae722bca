"""The renderers against the reference examples and against generated jobs."""
