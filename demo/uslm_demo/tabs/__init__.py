"""The tabs of the page, and the groups of fields that they share."""
