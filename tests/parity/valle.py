"""VALL-E and USLM: both stages teacher-forced and speaking, and the filter of logits."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor

from uslm.generate.autoregressive import speak_units
from uslm.generate.codebooks import fill_codebooks
from uslm.generate.sampling import Sampling, filter_top_k, filter_top_p
from uslm.models.base import AcousticRow
from uslm.systems.valle.checkpoint import VALLE
from uslm.systems.valle.generation import pretrained_row, pretrained_stop
from uslm.systems.valle.model import Valle
from uslm_tokenizer.pretrained.golden import GoldenFile
from uslm_tokenizer.pretrained.key_mapping import load_pretrained

SYSTEMS = ("USLM / VALL-E",)


@torch.no_grad()
def check(golden: GoldenFile) -> None:
    if not golden.weights:
        check_filter(golden)
        return
    config = VALLE.read_config(golden.config)
    # The original sees padding in its prenets: to be compared with, ours has to.
    config = replace(
        config,
        ar=replace(config.ar, prenet_sees_padding=True),
        nar=replace(config.nar, prenet_sees_padding=True),
    )
    model = load_pretrained(VALLE, golden.weights, config)
    assert isinstance(model, Valle)
    for name in golden.inputs:
        if match := re.fullmatch(r"(\w+)_codes_lens", name):
            check_forced(golden, model, match[1])
        if match := re.fullmatch(r"(\w+)_prompt_codes", name):
            check_spoken(golden, model, match[1])


def check_filter(golden: GoldenFile) -> None:
    """The name of an output says the arguments: top_k_10_top_p_05, top_k_minus100."""
    for name in golden.outputs:
        match = re.fullmatch(r"(?:top_k_(minus)?(\d+))?_?(?:top_p_(\d)(\d*))?", name)
        assert match, f"the arguments of the output {name} are not understood"
        k = int(match[2] or 0) * (-1 if match[1] else 1)
        p = float(f"{match[3]}.{match[4]}") if match[3] else 1.0
        golden.compare(name, filter_top_p(filter_top_k(golden.inputs["logits"], k), p))


def check_forced(golden: GoldenFile, model: Valle, case: str) -> None:
    """Teacher-forced logits and losses of a batch."""
    texts = cut(golden, f"{case}_text")
    codes = [row.T for row in cut(golden, f"{case}_codes")]
    batch = model.ar.batch(texts, [row[0] for row in codes])
    golden.compare(f"{case}_ar_logits", model.ar(batch))
    golden.compare(f"{case}_ar_loss", model.ar.pretrained_loss(batch))
    losses = []
    for name in list(golden.outputs):
        if not (match := re.fullmatch(rf"{case}_nar_logits_stage(\d+)", name)):
            continue
        codebook, drawn = int(match[1]), f"{case}_nar_prefix_len_stage{match[1]}"
        prefix = int(golden.outputs[drawn])
        assert prefix == 0 or model.config.nar.prefix_mode == 1
        golden.compare(drawn, torch.tensor(prefix))
        rows = [
            AcousticRow(prompt=row[:, :prefix], codes=row[:, prefix:], text_ids=text)
            for row, text in zip(codes, texts, strict=True)
        ]
        acoustic = model.nar.batch(rows)
        hidden = model.nar(acoustic, torch.full((len(rows),), codebook))[:, prefix:]
        # What stands at padding has no meaning.
        logits = model.nar.logits(hidden, codebook)
        valid = acoustic.frame_mask[:, prefix:, None]
        golden.compare(name, torch.where(valid, logits, golden.outputs[name]))
        losses.append(model.nar.pretrained_loss(acoustic, codebook))
    if losses:
        golden.compare(f"{case}_nar_loss_both_stages", torch.stack(losses).sum())


def check_spoken(golden: GoldenFile, model: Valle, case: str) -> None:
    """Greedy speech, step by step with the cache."""
    [text], [prompt] = golden.inputs[f"{case}_text"], golden.inputs[f"{case}_prompt_codes"]
    prompt = prompt.T
    stop = pretrained_stop(model.config, len(text))
    greedy = Sampling(temperature=0.0)
    generator = torch.Generator()
    for rows in speak_units(
        model.ar, [text], [prompt[0]], [stop], sampling=greedy, generators=[generator]
    ):
        units = rows[0].tensor()
    num_prompt_ids = int(golden.inputs[f"{case}_enroll_text_len"])
    row = pretrained_row(model.config, text, num_prompt_ids, prompt, units)
    [codes] = fill_codebooks(model.nar, [row])
    golden.compare(f"{case}_codes", codes.T[None])
    first, last = ends(model, text, prompt[0], units)
    golden.compare(f"{case}_ar_logits_first", first)
    golden.compare(f"{case}_ar_logits_last", last)
    for name in list(golden.outputs):
        if match := re.fullmatch(rf"{case}_nar_logits_stage(\d+)_first(\d+)", name):
            codebook, count = int(match[1]), int(match[2])
            batch = model.nar.batch([replace(row, codes=codes)])
            hidden = model.nar(batch, torch.tensor([codebook]))[batch.is_target][:count]
            golden.compare(name, model.nar.logits(hidden, codebook)[None])


def ends(model: Valle, text: Tensor, prompt: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
    """Logits before the first unit and after the last one."""
    cache = model.ar.new_cache(1, len(text) + len(prompt) + len(units) + 1)
    first = logits = model.ar.prefill([text], [prompt], cache)
    for unit in units:
        logits = model.ar.step(unit[None], cache)
    return first[0], logits[0]


def cut(golden: GoldenFile, name: str) -> list[Tensor]:
    """The rows of an input without their padding."""
    lengths = golden.inputs[f"{name}_lens"].tolist()
    return [row[:n] for row, n in zip(golden.inputs[name], lengths, strict=True)]
