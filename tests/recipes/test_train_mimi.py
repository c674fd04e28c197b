"""Mimi trains by the recipe of waveform codecs, a teacher for its first codebook; it resumes."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.waveform_codec import main
from uslm_tokenizer.codecs.mimi.model import MimiCodec
from uslm_tokenizer.registry import load_tokenizer

MODEL = (
    "model={sample_rate: 16000, network: {dim: 16, num_filters: 4, strides: [4, 5, 8], "
    "last_kernel_size: 3, shortcut_conv: false, num_lstm_layers: 0, causal: true, padding: zeros}, "
    "num_heads: 2, num_layers: 1, hidden_dim: 16, context: 12, "
    "quantizer: {level: {dim: 8, codebook_size: 16}, num_levels: 3, unquantized_share: 0.5}}"
)


def arguments(material: Path, out: Path, *more: str) -> list[str]:
    given = [
        f"corpus=[{material / 'corpus'}]",
        f"teacher={material / 'made_up' / 'whisper'}",
        "teacher_layers=[1,2]",
        "objectives=[{kind: teacher_cosine, axis: frame, weight: 1.0}]",
        "kind=mimi_codec",
        MODEL,
        "loop.samples=0",
        *more,
    ]
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


def test_it_trains_behind_its_teacher_and_resumes(material: Path, tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert main(arguments(material, whole)) == 0
    given = arguments(material, resumed, "loop.save_every_minutes=1e-9")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (resumed / "model").exists()
    assert main([*given, "--resume"]) == 0
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, resumed)]
    assert weights[0] == weights[1]
    lines = map(json.loads, (whole / "log.jsonl").read_text("utf-8").splitlines())
    assert all(line["teacher_cosine"] > 0 for line in lines if line["kind"] == "train")

    codec = load_tokenizer(whole / "model")
    assert isinstance(codec, MimiCodec) and codec.num_codebooks == 3
    waveform = Corpus.open(material / "corpus").waveform(3)[None, None]
    codes, state = codec.encode(waveform), codec.start_decoding()
    parts = [codec.decode_chunk(frame, state) for frame in codes.split(1, dim=2)]
    torch.testing.assert_close(torch.cat(parts, 2), codec.decode(codes), atol=1e-5, rtol=1e-4)
