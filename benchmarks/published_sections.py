"""The sections of published.py: each builds models of random weights, and measures them."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.codebooks import fill_codebooks
from uslm.generate.masked import Unmasking, fill_masked
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticRow
from uslm.models.masked import MaskedRow
from uslm.systems.catalogue import KEY_MAPPINGS
from uslm.systems.valle.model import Valle
from uslm_app.bench.machine import read_bandwidth
from uslm_app.bench.measure import measure_steps, median_seconds
from uslm_tokenizer.hub import empty_parameters
from uslm_tokenizer.machine import Machine
from uslm_tokenizer.nn.conv import fold_weight_norm
from uslm_tokenizer.pretrained.build import empty_part, empty_ready
from uslm_tokenizer.pretrained.catalogue import pretrained_config
from uslm_tokenizer.pretrained.mappings import get_key_mapping
from uslm_tokenizer.registry import PRETRAINED

CODECS = (
    "encodec-24khz",  # that of transformers, to compare with
    "speechtokenizer",
    "wavtokenizer-large-speech-75",
    "wavtokenizer-large-unify-40",
    "languagecodec",
    "hificodec-24k-320",
    "maskgct-acoustic",
    "dac-24khz",
    "mimi",
    "xcodec",
)
ROWS = 8
"""How many at once, to compare with one."""
LONG_SECONDS = 5.0
FRAMES = 193
"""Of the utterance that was timed with the published code."""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One section, in this process."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    record = MEASURES[options.section](options)
    machine = Machine.here()
    return {**record, "machine": f"{machine.cpu}, {machine.threads} threads, torch {machine.torch}"}


def random_model(kind: Any, config: Any, dtype: str = "float32") -> Any:
    """A model with random weights, which are made in `dtype`, one after the other."""
    with empty_parameters():
        model = kind(config)
    return with_weights(model, dtype)


def with_weights(model: Any, dtype: str = "float32") -> Any:
    """Matrices small and random, scales one, biases zero."""
    kind, state = getattr(torch, dtype), {}
    for name, parameter in model.named_parameters():
        value = torch.empty(parameter.shape, dtype=kind)
        if parameter.ndim > 1:
            value.normal_(std=0.02)
        else:
            value.fill_(0.0 if "bias" in name else 1.0)
        state[name] = value
    model.load_state_dict(state, strict=False, assign=True)
    return model.to(kind).eval()


def published(key_mapping_name: str, config_name: str, options: argparse.Namespace) -> Any:
    """A language model of the catalogue, at its published size unless --tiny."""
    key_mapping = get_key_mapping(key_mapping_name, KEY_MAPPINGS)
    kind: Any = key_mapping.model_class()
    if options.tiny:
        return random_model(kind, kind.tiny_config(), options.dtype)
    config = pretrained_config(KEY_MAPPINGS[key_mapping_name], config_name)
    return random_model(kind, key_mapping.read_config(config), options.dtype)


def num_bytes(model: Any) -> int:
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def median(work: Callable[[], object], repeats: int) -> float:
    """Seconds of a call. One that takes long needs no second look."""
    with torch.no_grad():
        start = time.perf_counter()
        work()
        first = time.perf_counter() - start
        if first > LONG_SECONDS:
            return first
        return median_seconds(work, repeats, torch.device("cpu"))


def measure_uslm(options: argparse.Namespace) -> dict[str, Any]:
    """The step of stage 1 against reading its weights; a whole utterance; stage 2."""
    model = published("valle", "uslm", options)
    ar, nar = model.ar, model.nar
    bandwidth = read_bandwidth(torch.device("cpu"))
    steps = [
        measure_steps(
            ar, rows=rows, context=300, bandwidth=bandwidth, repeats=options.repeats, seed=0
        )
        for rows in (1, ROWS)
    ]
    frames = 8 if options.tiny else FRAMES
    prompt_frames = 4 if options.tiny else 150
    text = torch.randint(3, 40, (80,))
    prompt = torch.randint(ar.codebook_size, (nar.num_codebooks, prompt_frames))
    never = 2**31
    stop = StopRule(min_frames=frames, max_frames=frames, max_run=never, loop_length=never)

    def row(units: Any) -> AcousticRow:
        codes = torch.zeros(nar.num_codebooks, frames, dtype=torch.long)
        codes[0] = units
        return AcousticRow(prompt=prompt, codes=codes, text_ids=text)

    def speak() -> None:
        draws = [torch.Generator().manual_seed(0)]
        for rows in speak_units(
            ar, [text], [prompt[0]], [stop], sampling=Sampling(), generators=draws
        ):
            last = rows
        fill_codebooks(nar, [row(torch.tensor(last[0].units))])

    some = torch.randint(ar.codebook_size, (frames,))
    return {
        "dtype": options.dtype,
        "parameters": model.num_parameters(),
        "bandwidth": bandwidth,
        "step_seconds": [step.cached_seconds for step in steps],
        "times_read": [step.times_read for step in steps],
        "frames": frames,
        "utterance_seconds": median(speak, 1),
        "nar_seconds": [
            median(lambda rows=rows: fill_codebooks(nar, [row(some)] * rows), 1)
            for rows in (1, ROWS)
        ],
    }


def measure_maskgct(options: argparse.Namespace) -> dict[str, Any]:
    """Every stage at its published steps, guided row by row in one batch."""
    frames = 8 if options.tiny else round(50 * options.seconds)
    stages = {
        "t2s": ("maskgct_t2s", "maskgct_t2s", (25,)),
        "s2a_first": ("maskgct_s2a", "maskgct_s2a_1layer", (25,)),
        "s2a_rest": ("maskgct_s2a", "maskgct_s2a_full", (10, *[1] * 10)),
    }
    found = {
        name: _stage(
            published(key_mapping, config, options), steps, frames, 4 if options.tiny else 150
        )
        for name, (key_mapping, config, steps) in stages.items()
    }
    return {"dtype": options.dtype, "speech_seconds": frames / 50, "stages": found}


def _stage(model: Any, steps: tuple[int, ...], frames: int, prompt_frames: int) -> dict[str, Any]:
    codebooks = model.num_codebooks
    steps = (*steps, *[1] * codebooks)[: codebooks - model.first_codebook]
    num_conditions = prompt_frames + frames if model.condition_per_frame else 100
    row = MaskedRow(
        condition=torch.randint(30, (num_conditions,)),
        prompt=torch.randint(30, (codebooks, prompt_frames)),
        target=torch.zeros(codebooks, frames, dtype=torch.long),
    )

    def fill(rows: int, steps: tuple[int, ...]) -> None:
        draws = [torch.Generator().manual_seed(index) for index in range(rows)]
        fill_masked(model, [row] * rows, Unmasking(steps=steps), generators=draws)

    once = (1,) * len(steps)
    return {
        "parameters": model.num_parameters(),
        "steps": list(steps),
        "seconds": median(lambda: fill(1, steps), 1),
        "step_seconds": [
            median(lambda rows=rows: fill(rows, once), 1) / len(once) for rows in (1, ROWS)
        ],
    }


def measure_codecs(options: argparse.Namespace) -> dict[str, Any]:
    """Encoding and decoding, one recording and several at once."""
    found = {}
    for name in CODECS:
        system = PRETRAINED.get(name)
        model = empty_ready(system) if system.ready else empty_part(PRETRAINED, system.parts[0])
        if options.tiny:
            model = type(model)(type(model).tiny_config())  # type: ignore[attr-defined]
        codec: Any = fold_weight_norm(with_weights(model))
        samples = codec.hop_length * max(4, round(options.seconds * codec.frame_rate))
        seconds, rates = samples / codec.sample_rate, {}
        for rows in (1, ROWS):
            waveform = 0.1 * torch.randn(rows, 1, samples)
            codes = torch.randint(
                codec.codebook_size, (rows, codec.num_codebooks, samples // codec.hop_length)
            )
            for what, work, given in (
                ("encode", codec.encode, waveform),
                ("decode", codec.decode, codes),
            ):
                taken = median(lambda work=work, given=given: work(given), options.repeats)
                rates[f"{what} {rows}"] = taken / (rows * seconds)
        found[name] = {"parameters": codec.num_parameters(), "rates": rates}
    return {"seconds": options.seconds, "codecs": found}


def measure_memory(options: argparse.Namespace) -> dict[str, Any]:
    """What loading and speaking take of the memory, beside the weights."""
    with tempfile.TemporaryDirectory() as folder:
        # Made in a process of its own: this one is to have seen nothing but the loading.
        code = (
            f"import argparse, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
            f"import published_sections as s; "
            f"options = argparse.Namespace(tiny={options.tiny}, dtype='float32'); "
            f"s.published('valle', 'uslm', options).save_pretrained({folder!r})"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        before = resident_bytes()
        model = Valle.from_pretrained(Path(folder))
        after_loading = peak_bytes() - before
        start = time.perf_counter()
        for parameter in model.parameters():
            parameter.sum().item()  # now each weight has been read
        read_seconds = time.perf_counter() - start
        after_reading = peak_bytes() - before
        cache = model.ar.new_cache(1, 260)
        logits = model.ar.prefill([torch.randint(3, 40, (80,))], [torch.randint(9, (150,))], cache)
        for _ in range(16):
            logits = model.ar.step(logits.argmax(-1).clamp(max=8), cache)
        return {
            "weights": num_bytes(model),
            "after_loading": after_loading,
            "after_reading": after_reading,
            "after_speaking": peak_bytes() - before,
            "read_seconds": read_seconds,
        }


def resident_bytes() -> int:
    """Memory of this process now."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """The most memory of this process so far."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(line.split()[1])


MEASURES = {
    "uslm": measure_uslm,
    "maskgct": measure_maskgct,
    "codecs": measure_codecs,
    "memory": measure_memory,
}
