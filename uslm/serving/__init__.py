"""One loaded model for many callers at once."""
