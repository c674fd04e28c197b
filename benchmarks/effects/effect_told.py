"""Mutual information of units with a label, as parts of a sum: one for each test utterance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import torch
from effect import Measured

from uslm.evaluation.suites.encoded import EncodedSet


def share_told(rows: Sequence[Sequence[tuple[int, Hashable]]]) -> Measured:
    """Mutual information of unit and label over the label's entropy, of rows of such pairs.

    The rate of the whole is that share; each row has its own part of the sum, so that intervals
    over the rows can be drawn.
    """
    joint = Counter(pair for row in rows for pair in row)
    by_unit = Counter(pair[0] for row in rows for pair in row)
    by_label = Counter(pair[1] for row in rows for pair in row)
    count = sum(joint.values())
    share = torch.tensor(list(by_label.values())).double() / max(count, 1)
    entropy = max(float(-torch.special.xlogy(share, share).sum()), 1e-12)
    totals = []
    for row in rows:
        ratios = [joint[a, b] * count / (by_unit[a] * by_label[b]) for a, b in row]
        totals.append(float(torch.tensor(ratios).double().log().sum()))
    sizes = tuple(max(len(row), 1) * entropy for row in rows)
    return Measured(totals=tuple(totals), sizes=sizes)


def speaker_told(encoded: EncodedSet) -> Measured:
    """Share of what there is to know of the speaker of a test item that a unit tells."""
    return share_told(
        [
            [(unit, row.speech.labels["speaker"]) for unit in row.codes[0].tolist()]
            for row in encoded.test
        ]
    )
