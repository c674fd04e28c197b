"""Vec-Tok's inverse k-means and vocoder: trained here, published nowhere."""

from uslm.systems.entry import Entry

ENTRY = Entry(
    models={
        "inverse_kmeans": "uslm.systems.vec_tok.model:InverseKMeans",
        "vector_vocoder": "uslm.systems.vec_tok.vocoder:VectorVocoder",
    }
)
