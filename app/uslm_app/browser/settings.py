"""settings.json of the page: numbers and tables that the package has one owner for."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from uslm.generate.stopping import StopRule
from uslm.onnx.config import OnnxConfig
from uslm.onnx.voice_creation import prompt_policy
from uslm.text.segmentation import SHORTEST_SEGMENT
from uslm.text.vocab import LOOKALIKES, SPACING
from uslm_tokenizer.codecs.source_filter import f0

F0_CONSTANTS = (
    "max_candidates", "silence_threshold", "voicing_threshold", "octave_cost", "octave_jump_cost",
    "voicing_cost", "costs_are_for", "periods_per_window",
)  # fmt: skip


def page_settings(config: OnnxConfig) -> dict[str, Any]:
    """Settings of the page's scripts, besides model.json."""
    stop = {field.name: field.default for field in fields(StopRule)}
    policy = prompt_policy(config)
    return {
        "prompt": {**asdict(policy), "wanted": policy.wanted},
        "repetition": {name: stop[name] for name in ("max_run", "loop_length")},
        "shortest_segment": SHORTEST_SEGMENT,
        "f0": {name: getattr(f0, name.upper()) for name in F0_CONSTANTS},
        "lookalikes": LOOKALIKES,
        "spacing": [[pattern.pattern, replacement] for pattern, replacement in SPACING],
    }
