"""k-means units, by their name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"kmeans_units": "uslm_tokenizer.codecs.kmeans_units.model:KMeansUnits"})
