"""Pure logic, one behaviour per test."""
