"""Make-A-Voice: one stage of codes that speaks, converts and sings."""
