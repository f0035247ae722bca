"""One file per outside system; each implements a protocol of bot.engine.ports."""
