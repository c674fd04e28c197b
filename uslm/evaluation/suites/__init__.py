"""What is spoken or encoded to be judged, what tokens hold and cost, and the tables of it."""
