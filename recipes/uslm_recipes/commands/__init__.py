"""The commands around training: corpora, tokens, bundles, evaluation."""
