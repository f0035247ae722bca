"""The lab: everything the bot meets in production, on this machine."""
