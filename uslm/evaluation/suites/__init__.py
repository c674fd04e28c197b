"""What is spoken or encoded to be judged: sets, measures of tokens, and the tables that come of it."""
