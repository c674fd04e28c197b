"""The two stages: text -> units (autoregressive), units -> all codes (codebook by codebook)."""
