"""Properties of the core, checked with generated examples."""
