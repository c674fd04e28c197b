"""Units by k-means, as in HuBERT and GSLM."""
