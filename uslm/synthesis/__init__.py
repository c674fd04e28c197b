"""From text and a recording to speech: what the command, the demo and users of the library call."""
