"""Writes what test_held_out.py reads: run at commit d33df51, before files and names moved.

    python tests/held_out/make.py tests/held_out/files

Not to be run again for the same files: they show that what users have stays readable. Weights are
random, and stored in 16 bits.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors.torch import load_file, save_file

from uslm.systems.maskgct.tiny import save_tiny_maskgct
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle
from uslm.systems.valle.tiny import save_tiny_uslm, tiny_uslm
from uslm.systems.vevo.tiny import save_tiny_vevo
from uslm.tts import ZeroShotTTS
from uslm_app.cli import main
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import Utterance
from uslm_recipes.data.corpus_writer import CorpusWriter
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.loop import LoopConfig
from uslm_recipes.loop.testing import train_toy
from uslm_tokenizer.hub import WEIGHTS_FILE
from uslm_tokenizer.registry import load_tokenizer

TEXT = "Hi there."
LOOP = LoopConfig(steps=6, warmup_steps=3, log_every=3, learning_rate=0.01)


def narrow(folder: Path) -> None:
    """Store its weights in 16 bits."""
    for path in folder.rglob(WEIGHTS_FILE):
        tensors = load_file(path)
        halves = {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}
        save_file(halves, path, metadata={"format": "pt"})


def make_models(folder: Path) -> None:
    save_bundle(tiny_bundle(), folder / "two_stage")
    for name in ("uslm", "maskgct", "vevo"):
        (folder / name).mkdir()
    save_tiny_uslm(tiny_uslm(), folder / "uslm")
    save_tiny_maskgct(folder / "maskgct")
    save_tiny_vevo(folder / "vevo")
    narrow(folder)


def make_speech(folder: Path) -> None:
    """A voice of each model, and what it says with it."""
    for name in ("two_stage", "uslm", "maskgct", "vevo"):
        tts = ZeroShotTTS.from_pretrained(folder / name)
        audio = speech_like(1.5)
        voice = tts.create_voice(audio, "This is a test.", name="babble")
        voice.save(folder / f"{name}.voice.safetensors")
        speech = tts.generate(TEXT, voice, seed=7)
        made = {"codes": speech.codes.contiguous(), "waveform": speech.waveform[:, :4000].clone()}
        save_file(made, folder / f"{name}.spoken.safetensors")


def make_codes(folder: Path) -> None:
    """A codes file, and what it sounds like."""
    tokenizer = folder / "two_stage/tokenizer"
    audio = speech_like(0.5)
    soundfile.write("said.wav", audio.waveform[0].numpy(), audio.sample_rate)
    out = folder / "codes.safetensors"
    assert (
        main(["encode", "--audio", "said.wav", "--tokenizer", str(tokenizer), "--out", str(out)])
        == 0
    )
    Path("said.wav").unlink()


def make_tokens(folder: Path) -> None:
    """A corpus and its tokens."""
    random = np.random.default_rng(0)
    with CorpusWriter(folder / "corpus", sample_rate=16_000) as writer:
        for i, frames in enumerate((12, 9)):
            samples = random.integers(-9000, 9000, frames * 320).astype(np.int16)
            row = Utterance(
                id=str(i), source="a", audio="", speaker="s", language="en", text="", phonemes="",
                text_ids=(), split="train", start_sample=writer.next_sample,
                num_samples=len(samples),
            )  # fmt: skip
            writer.add(row, samples)
        writer.finish()
    tokenizer = load_tokenizer(folder / "two_stage/tokenizer")
    corpus = Corpus.open(folder / "corpus")
    encode_corpus(tokenizer, corpus, folder / "tokens", precision=torch.float32)


def make_run(folder: Path) -> None:
    """A run that was stopped after its third step, and the weights that it ends with."""
    whole = train_toy(LOOP, Path("whole"))
    save_file(
        {n: t.clone() for n, t in whole.state.models["model"].state_dict().items()},
        folder / "run.weights.safetensors",
    )
    train_toy(replace(LOOP, save_every_minutes=1e-9, keep_last=1), folder / "run", stop_at=3)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    make_models(target)
    make_speech(target)
    make_codes(target)
    make_tokens(target)
    make_run(target)
