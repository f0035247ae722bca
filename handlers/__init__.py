"""Everything that speaks Slack: commands, buttons, modals, the reporter and the blocks it renders."""
