"""Units that judges have shaped: differentiable k-means, LAST, and what lies between."""
