"""The browser build: a static page that clones and speaks without a server."""
