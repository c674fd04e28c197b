"""The server: speech over HTTP, as the OpenAI API has it, safe unless told otherwise."""
