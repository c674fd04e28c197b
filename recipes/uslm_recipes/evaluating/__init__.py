"""The steps of an evaluation: choose what is held out, speak it, have it judged."""
