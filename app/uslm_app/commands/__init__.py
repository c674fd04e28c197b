"""The sub-commands, a module each with `run(options, console)`, those of two words in a folder;
imported when asked for."""
