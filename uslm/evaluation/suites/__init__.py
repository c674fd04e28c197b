"""What is spoken or encoded to be judged, and the tables that come of it."""
