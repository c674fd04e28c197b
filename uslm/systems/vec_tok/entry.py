"""Vec-Tok's inverse k-means: trained here, published nowhere; vectors are no sound yet."""

from uslm.systems.entry import Entry

ENTRY = Entry(models={"inverse_kmeans": "uslm.systems.vec_tok.model:InverseKMeans"})
