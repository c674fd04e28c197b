"""Use of the codebooks and rates of the stream, over a whole set."""

import math

import torch

from uslm.evaluation.metrics.bootstrap import Estimate
from uslm.evaluation.suites.encoded import EncodedSet
from uslm_tokenizer.sequence.dedup import deduplicate


def code_use(encoded: EncodedSet) -> dict[str, dict[str, Estimate]]:
    """Rows for the tokenizer and for each of its codebooks.

    `token_rate` of the tokenizer is that of all codebooks; a row for the first codebook without
    repeats says how many tokens are left after run-length coding.
    """
    codes = torch.cat([row.codes for row in (*encoded.train, *encoded.test)], 1)
    rows: dict[str, dict[str, Estimate]] = {}
    entropies = []
    for number, codebook in enumerate(codes, start=1):
        share = torch.bincount(codebook, minlength=encoded.codebook_size).double() / codes.shape[1]
        entropies.append(float(-(share * share.clamp(min=1e-12).log2()).sum()))
        rows[f"{encoded.name}, codebook {number}"] = {
            "codes_used": _fact(float((share > 0).double().mean())),
            "perplexity": _fact(2 ** entropies[-1]),
        }
    rate = encoded.frame_rate
    runs = sum(len(deduplicate(row.codes[0])[0]) for row in (*encoded.train, *encoded.test))
    return {
        encoded.name: {
            "bit_rate": _fact(rate * math.log2(encoded.codebook_size) * encoded.num_codebooks),
            "entropy_rate": _fact(rate * sum(entropies)),
            "token_rate": _fact(rate * encoded.num_codebooks),
            "real_time_factor": _fact(encoded.real_time_factor),
        },
        f"{encoded.name}, codebook 1 without repeats": {
            "token_rate": _fact(rate * runs / codes.shape[1])
        },
        **rows,
    }


def _fact(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value, count=1)
