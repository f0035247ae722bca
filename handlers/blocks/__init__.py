"""Every message of the bot, as pure functions of state. No I/O, no clock."""
