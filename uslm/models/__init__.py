"""The two stages: text -> units (autoregressive), units -> all codes (level by level)."""
