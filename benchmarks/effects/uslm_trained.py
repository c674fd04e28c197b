"""Effect: USLM's stages, trained by the recipes at `mini`, learn to say what they read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from effect import Effect, Measured, Setting
from effect_speech import write_corpus
from torch import Tensor
from uslm_speaks import errors_of

from uslm.evaluation.suites.alignment import train_recognizer
from uslm.evaluation.suites.probe import ProbeConfig, TokenProbe
from uslm.evaluation.suites.speech_set import to_symbols
from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.codebooks import fill_codebooks
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticRow
from uslm.systems.registry import load_model
from uslm.text.vocab import PhonemeVocab
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.train.ar import main as train_ar
from uslm_recipes.train.nar import main as train_nar
from uslm_recipes.train.waveform_codec import main as train_waveform_codec
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.ssl.encoder import SSLEncoder

CONFIG = "mini"
LEVELS, CODES, WIDTH = 4, 256, 192
"""Of the codec at `mini`; and of stage 2."""
LAYERS = (5, 6)
"""Of the teacher, whose mean the first level follows."""
SHORT = 8
"""The other arm trains for so small a part of the steps."""
SPOKEN = 40
"""Texts that are spoken."""
PROMPT = 150
"""Frames of the speaker's other speech that stage 2 sees, at most."""
LONGEST = 1.5
"""Frames that are spoken at most, for each of the recording."""
ROWS = {"min_prompt_frames": 75, "max_prompt_frames": PROMPT, "max_target_frames": 200}
ARMS = ("trained", f"a {SHORT}th of the training", "other texts read", "recorded tokens")


@dataclass(frozen=True)
class Material:
    """A corpus with its tokens, and what is asked of it."""

    corpus: Corpus
    tokens: TokenCorpus
    asked: tuple[int, ...]
    """Utterances of unseen speakers, whose texts are spoken."""
    prompts: tuple[int, ...]
    """For each, another utterance of its speaker, or the same one."""


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Codec, tokens, both stages; then texts of speakers never seen are spoken and recognised."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source = setting.corpus or write_corpus(setting.speech, folder / "corpus")
        _codec(setting, seed, source, folder / "codec")
        corpus = Corpus.open(source)
        tokens = encode_corpus(
            load_tokenizer(folder / "codec" / "model"), corpus, folder / "tokens"
        )
        material = _material(setting, corpus, tokens)
        listener = _listener(setting, seed, material)
        steps = setting.steps(350, 4000), setting.steps(200, 2000)
        long, short = (
            _stages(source, folder, name, seed, [max(1, each // share) for each in steps])
            for name, share in (("long", 1), ("short", SHORT))
        )
        asked = [_symbols(corpus, i) for i in material.asked]
        turned = [*material.asked[1:], material.asked[0]]
        read = turned if setting.broken == "other texts read" else list(material.asked)
        spoken = {
            ARMS[0]: _speak(long, material, read, seed),
            ARMS[1]: _speak(short, material, read, seed),
            ARMS[2]: _speak(long, material, turned, seed),
            ARMS[3]: [tokens.codes(i) for i in material.asked],
        }
        return {arm: errors_of(listener, codes, asked) for arm, codes in spoken.items()}


def _train(recipe: Callable[[list[str]], int], out: Path, steps: int, *given: str) -> None:
    """A recipe's command, whose rate rises for a tenth of the steps; UserError if it fails."""
    every = [
        f"loop.steps={steps}", f"loop.warmup_steps={max(1, steps // 10)}", "loop.max_minutes=null",
        "loop.validate_every=0", "loop.samples=0", *given,
    ]  # fmt: skip
    settings = [part for each in every for part in ("--set", each)]
    if recipe(["--config", CONFIG, "--out", str(out), *settings]):
        raise UserError(f"{recipe.__module__} ended with an error")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    if not any(row["kind"] == "done" and row["step"] == steps for row in log):
        raise UserError(f"{recipe.__module__} was stopped before its {steps} steps were done")


def _codec(setting: Setting, seed: int, corpus: Path, out: Path) -> None:
    taught = ["objectives=[]"]
    if setting.teacher is not None:
        width = SSLEncoder.from_pretrained(setting.teacher, layers=LAYERS).dim
        taught = [
            f"teacher={setting.teacher}", f"teacher_layers={list(LAYERS)}",
            f"model.semantic_dim={width}",
        ]  # fmt: skip
    steps = setting.steps(900, 8000)
    common = [f"corpus=[{corpus}]", f"loop.seed={seed}"]
    _train(train_waveform_codec, out, steps, *common, *taught)


def _stages(
    corpus: Path, folder: Path, name: str, seed: int, steps: Sequence[int]
) -> tuple[Any, Any]:
    """Stage 1 as `train_ar --config mini` has it, and VALL-E's stage 2."""
    out = folder / name
    common = [f"corpus=[{corpus}]", f"tokens=[{folder / 'tokens' / '0'}]", f"loop.seed={seed}"]
    sizes = {
        "num_codebooks": LEVELS, "codebook_size": CODES, "text_vocab_size": PhonemeVocab().size,
        "dim": WIDTH, "num_heads": 4, "num_layers": 4, "prefix_mode": 1,
    }  # fmt: skip
    _train(
        train_ar, out / "ar", steps[0], *common, "sources=[]", "model.pitch_reach=0",
        f"model.codebook_size={CODES}",
    )  # fmt: skip
    _train(
        train_nar, out / "nar", steps[1], *common, "kind=valle_nar", f"model={sizes}",
        f"rows={ROWS}",
    )  # fmt: skip
    return load_model(out / "ar" / "model"), load_model(out / "nar" / "model")


def _material(setting: Setting, corpus: Corpus, tokens: TokenCorpus) -> Material:
    longest = 5.0 if setting.quick else 10.0
    every = corpus.select(split="test", with_text=True, max_seconds=longest).tolist()
    asked = every[:SPOKEN]
    others = [
        next((i for i in every if i != each and corpus.speakers[i] == corpus.speakers[each]), each)
        for each in asked
    ]
    return Material(corpus, tokens, tuple(asked), tuple(others))


def _symbols(corpus: Corpus, index: int) -> Tensor:
    """Phonemes of an utterance, without stress, spaces and punctuation."""
    vocab = PhonemeVocab()
    symbols = to_symbols(vocab.decode(corpus.text_ids[index].tolist()))
    return torch.tensor([vocab.encode(each)[0] for each in symbols], dtype=torch.long)


def _listener(setting: Setting, seed: int, material: Material) -> TokenProbe:
    """A recogniser of the codec's own tokens, of speakers that both stages learn from."""
    corpus = material.corpus
    rows = corpus.select(split="train", with_text=True, max_seconds=8.0)
    some = rows[:: max(1, len(rows) // (800 if setting.quick else 4000))].tolist()
    config = ProbeConfig(dim=96, steps=setting.steps(600, 3000), learning_rate=4e-3)
    return train_recognizer(
        [material.tokens.codes(i) for i in some], [_symbols(corpus, i) for i in some], config,
        codebook_size=CODES, num_symbols=PhonemeVocab().size, seed=seed,
    )  # fmt: skip


@torch.no_grad()
def _speak(
    stages: tuple[Any, Any], material: Material, read: Sequence[int], seed: int
) -> list[Tensor]:
    """Codes [k, t] of each text of `read`, in the voice of each that is asked."""
    ar, nar = stages
    texts = [torch.from_numpy(material.corpus.text_ids[i]) for i in read]
    longest = [int(LONGEST * material.tokens.num_frames[i]) for i in material.asked]
    *_, rows = speak_units(
        ar, texts, [text[:0] for text in texts],
        [StopRule(min_frames=1, max_frames=most) for most in longest],
        sampling=Sampling(temperature=0.3),
        generators=[torch.Generator().manual_seed(seed) for _ in texts],
    )  # fmt: skip
    spoken = []
    for row, text, prompt in zip(rows, texts, material.prompts, strict=True):
        units = row.tensor()
        codes = torch.zeros(LEVELS, len(units), dtype=torch.long)
        codes[0] = units
        voice = material.tokens.codes(prompt)[:, :PROMPT]
        given = AcousticRow(prompt=voice, codes=codes, text_ids=text)
        spoken.append(fill_codebooks(nar, [given])[0] if len(units) else codes)
    return spoken


EFFECTS = (
    Effect(
        name="uslm_trained",
        claim="Stages that the recipes train on a codec's tokens learn to say what they read",
        paper="USLM, in SpeechTokenizer (Zhang et al. 2023)",
        arms=ARMS,
        measure="phonemes that a recogniser of the tokens gets wrong in what is spoken (CER), "
        "texts and speakers unseen",
        better="less",
        margin=0.05,
        breaks=("other texts read",),
        run=run,
        uses_speech=False,  # but the corpus as it is
        note="`train_waveform_codec`, `encode`, `train_ar`, `train_nar` at their `mini` configs, "
        "for the effect's numbers of steps: a SpeechTokenizer of four levels, distilled where "
        "a teacher is named, the monotonic stage 1 without pitch, and VALL-E's stage 2 at width "
        "192. *Other texts read* is the same model, asked for one text and judged by another. All "
        f"training lines of the corpus are learnt from, {SPOKEN} texts of others spoken. The "
        "recogniser learnt from recorded tokens of the training speakers.",
    ),
)
