"""The real bot, as processes of its own, against a whole lab: what people type, see and get."""
