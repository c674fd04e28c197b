"""Speech on its way out: samples, joins, subtitles, the watermark."""
