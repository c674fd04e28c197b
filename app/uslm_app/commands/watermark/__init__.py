"""`uslm watermark ...`: marks in recordings."""
