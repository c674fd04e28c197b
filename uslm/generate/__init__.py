"""From logits to tokens: sampling, and the loop that lets a model speak."""
