"""Vec-Tok: vectors with a voice from units without one."""
