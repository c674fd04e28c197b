"""What users had before the files and the names of this project moved still loads, to the same end.

files/ was written by make.py beside it at commit d33df51: a model of each system with random
weights, its voice and what it said, a codes file, a corpus with tokens, and a run that was stopped.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from uslm.systems.catalogue import CATALOGUE
from uslm.systems.loading import resolve_synthesizer
from uslm.systems.two_stage.bundle import load_bundle
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_app.actions.codes_file import CodesFile
from uslm_app.cli import main
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import LoopConfig
from uslm_recipes.loop.testing import train_toy
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import WEIGHTS_FILE
from uslm_tokenizer.pretrained.earlier import EARLIER
from uslm_tokenizer.pretrained.store import Store
from uslm_tokenizer.pretrained.testing import isolated_hub
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.weight_hash import weight_hash

FILES = Path(__file__).with_name("files")
SYSTEMS = ("two_stage", "uslm", "maskgct", "vevo")
TOKENIZER = FILES / "two_stage/tokenizer"
VOICE = Path(__file__).parents[2] / "examples" / "voice.wav"


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_model_says_the_same_in_a_voice_of_before(system: str) -> None:
    tts = ZeroShotTTS.from_pretrained(FILES / system)
    voice = VoicePrompt.load(FILES / f"{system}.voice.safetensors")
    speech = tts.generate("Hi there.", voice, seed=7)
    before = load_file(FILES / f"{system}.spoken.safetensors")
    assert torch.equal(speech.codes, before["codes"])
    # Other processors add in another order: equal up to rounding.
    torch.testing.assert_close(speech.waveform[:, :4000], before["waveform"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("system", SYSTEMS[1:])
def test_a_converted_model_is_found_where_it_was(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # away from the folder `uslm` of this repository
    folder = {
        "uslm": "uslm-91cab28dcebc",
        "maskgct": "maskgct-9deea39a406f",
        "vevo": "vevo-12f179f65324",
    }[system]
    with isolated_hub(tmp_path):
        store = Store(catalogue=CATALOGUE)
        models = store.converted_folder(system).parent
        shutil.copytree(FILES / system, models / folder)
        assert store.state(system) == "converted"
        assert resolve_synthesizer(system, local_files_only=True) == models / folder
        # Once converted anew, the new one is used.
        new = models / f"{system}-{CATALOGUE.get(system).fingerprint}"
        shutil.copytree(FILES / system, new)
        assert resolve_synthesizer(system, local_files_only=True) == new != models / folder


def test_only_the_files_and_the_conversion_name_a_folder() -> None:
    systems = CATALOGUE.systems
    kept = {f"{name}-{systems[name].fingerprint}" for name in systems if not systems[name].ready}
    assert set(EARLIER) <= kept  # systems that came later have no earlier folders
    uslm = systems["uslm"]
    reworded = replace(
        uslm, title="anew", parts=tuple(replace(part, model="moved:Here") for part in uslm.parts)
    )
    assert reworded.fingerprint == uslm.fingerprint
    assert replace(uslm, conversion=2).fingerprint != uslm.fingerprint
    assert replace(uslm, files={}).fingerprint != uslm.fingerprint


def test_a_codes_file_is_decoded_and_made_again() -> None:
    file, tokenizer = CodesFile.load(str(FILES / "codes.safetensors")), load_tokenizer(TOKENIZER)
    file.fit(tokenizer)
    assert tokenizer.decode(file.codes[None]).shape[-1] >= file.info.num_samples > 0


def test_tokens_of_a_corpus_are_not_made_again(tmp_path: Path) -> None:
    shutil.copytree(FILES / "tokens", tmp_path / "tokens")
    tokenizer, corpus = load_tokenizer(TOKENIZER), Corpus.open(FILES / "corpus")
    header = tmp_path / "tokens/0/tokens.json"
    written = header.stat().st_mtime_ns
    tokens = encode_corpus(tokenizer, corpus, tmp_path / "tokens", precision=torch.float32)
    assert header.stat().st_mtime_ns == written
    before = TokenCorpus.open(corpus, [FILES / "tokens/0"])
    for index in range(len(corpus)):
        assert torch.equal(tokens.codes(index), before.codes(index))
        codes = tokenizer.encode(Audio(corpus.waveform(index)[None], 16_000).waveform[None])
        assert torch.equal(codes[0], before.codes(index))


def test_one_tokenizer_has_one_hash(tmp_path: Path) -> None:
    """In a bundle and its voices, in codes and in tokens; from memory and from its file."""
    tokenizer, corpus = load_tokenizer(TOKENIZER), Corpus.open(FILES / "corpus")
    found = weight_hash(tokenizer=tokenizer)
    assert weight_hash(tokenizer=TOKENIZER / WEIGHTS_FILE) == found
    assert load_bundle(FILES / "two_stage").tokenizer_hash == found
    assert VoicePrompt.load(FILES / "two_stage.voice.safetensors").tokenizer_hash == found
    encode_corpus(tokenizer, corpus, tmp_path / "tokens")
    assert json.loads((tmp_path / "tokens/0/tokens.json").read_text())["tokenizer"] == found
    arguments = ["--audio", str(VOICE), "--tokenizer", str(TOKENIZER), "--out"]
    assert main(["encode", *arguments, str(tmp_path / "codes.safetensors")]) == 0
    assert CodesFile.load(str(tmp_path / "codes.safetensors")).info.tokenizer_hash == found
    with torch.no_grad():
        next(tokenizer.parameters()).add_(1.0)
    assert weight_hash(tokenizer=tokenizer) != found
    with pytest.raises(ConfigError, match="made by another tokenizer"):
        CodesFile.load(str(FILES / "codes.safetensors")).fit(tokenizer)


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    shutil.copytree(FILES / "run", tmp_path / "run")
    loop = LoopConfig(
        steps=6, warmup_steps=3, log_every=3, learning_rate=0.01, save_every_minutes=1e-9,
        keep_last=1,
    )  # fmt: skip
    run = train_toy(loop, tmp_path / "run", resume=True)
    assert run.progress.step == 6
    ended = run.state.models["model"].state_dict()
    for name, tensor in load_file(FILES / "run.weights.safetensors").items():
        torch.testing.assert_close(ended[name], tensor)
