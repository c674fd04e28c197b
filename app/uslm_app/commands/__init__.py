"""The sub-commands, a module each with `run(options, console)`; imported when asked for."""
