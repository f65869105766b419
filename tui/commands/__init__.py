"""The subcommands of `barfield`, one module each."""
