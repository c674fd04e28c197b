"""Edit distance between two sequences, the measure behind every error rate."""

from collections.abc import Sequence


def edit_distance(a: Sequence[object], b: Sequence[object]) -> int:
    """Fewest insertions, deletions and substitutions that turn `a` into `b` (Levenshtein)."""
    distances = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, distances[0] = distances[0], i
        for j, y in enumerate(b, start=1):
            diagonal, distances[j] = (
                distances[j],
                min(distances[j] + 1, distances[j - 1] + 1, diagonal + (x != y)),
            )
    return distances[-1]
