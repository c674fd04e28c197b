"""The tensor shapes that signatures state are checked in tests, and cost nothing outside."""

from __future__ import annotations

import subprocess
import sys

import jaxtyping
import pytest
import torch

from uslm_tokenizer.sequence.dedup import deduplicate


def test_a_wrong_shape_is_caught_in_tests() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        deduplicate(torch.zeros(2, 3, dtype=torch.long))


def test_users_do_not_pay_for_it() -> None:
    code = (
        "import sys, uslm_tokenizer.sequence.dedup as dedup\n"
        "assert 'beartype' not in sys.modules\n"
        "assert not hasattr(dedup.deduplicate, '__wrapped__')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
