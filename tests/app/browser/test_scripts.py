"""Scripts of the page, in Chromium: each number is the one that the Python package has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from uslm.generate.length import LengthConfig
from uslm.onnx.random_numbers import Uniform
from uslm.onnx.synthesizer import OnnxSynthesizer
from uslm.onnx.voice_creation import create_voice
from uslm.output.sample_joiner import JoinConfig, SampleJoiner
from uslm.synthesis.derived_seeds import derive_seed
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import tiny_pitched_bundle
from uslm.text.frontend import TextFrontend
from uslm_tokenizer.audio.read import read_audio

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[3]
PROMPT = ROOT / "examples" / "voice.wav"
SENTENCES = (ROOT / "benchmarks" / "voice_sentences.txt").read_text("utf-8").splitlines()
TINY = BundleConfig(
    name="tiny",
    length=LengthConfig(max_frames_per_symbol=4.0, margin_frames=20),
    join=JoinConfig(trim_silence=False),
    use_prompt_units=False,
)


@pytest.fixture(scope="module")
def folder(exported: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a tiny model whose text is read slowly. Read only."""
    bundle = tiny_pitched_bundle(TINY)
    return exported(bundle, tmp_path_factory.mktemp("page") / "tiny", precision="float32")


@pytest.fixture(scope="module")
def address(folder: Path, serving: Callable[[Path], AbstractContextManager[str]]) -> Iterator[str]:
    with serving(folder) as found:
        yield found


@pytest.fixture
def run(open_page: Callable[[str], Any], address: str) -> Callable[..., Any]:
    """Runs a function of JavaScript that is given the scripts that it names, and one argument."""
    page = open_page(address)
    page.locator("#speak:not([disabled])").wait_for()

    def call(modules: str, body: str, argument: Any = None) -> Any:
        names = modules.split()
        loads = "".join(f'const {name} = await import("/speech/{name}.js");' for name in names)
        return page.evaluate(f"async (given) => {{ {loads} {body} }}", argument)

    return call


@pytest.fixture(scope="module")
def synthesizer(folder: Path) -> OnnxSynthesizer:
    return OnnxSynthesizer(folder / "model", threads=1)


def test_seeds_and_random_numbers_are_those_of_python(run: Callable[..., Any]) -> None:
    seeds = [0, 7, 2**31, 2**32 - 1]
    found = run(
        "random",
        """return Promise.all(given.map(async (seed) => {
             const uniform = await random.uniformNumbers(seed, "semantic");
             const numbers = Array.from({ length: 700 }, uniform);
             return [String(await random.deriveSeed(seed, 3)), numbers];
           }))""",
        seeds,
    )
    for seed, (derived, numbers) in zip(seeds, found, strict=True):
        uniform = Uniform(seed, "semantic")
        assert int(derived) == derive_seed(seed, 3)
        assert numbers == [uniform() for _ in numbers]


def test_joined_segments_are_those_of_python(run: Callable[..., Any]) -> None:
    draw = np.random.default_rng(0)
    config, rate = JoinConfig(max_silence_seconds=0.1), 4_000
    segments = []
    for _ in range(3):
        loud = draw.uniform(-0.5, 0.5, (4, 1_000)).astype(np.float32)
        loud[1:3] *= 1e-4  # silence to be shortened
        segments.append(np.concatenate([np.zeros(900, np.float32), *loud]).tolist())
    found = run(
        "joiner",
        """const made = new joiner.SampleJoiner(given.config, given.rate);
           const out = [];
           for (const segment of given.segments) {
             out.push(...made.push(Float32Array.from(segment.slice(0, 1234))));
             out.push(...made.push(Float32Array.from(segment.slice(1234))));
             out.push(...made.endSegment(), ...made.pause(given.rest));
           }
           return [...out, ...made.finish()];""",
        {"config": vars(config), "rate": rate, "segments": segments, "rest": 0.05},
    )
    joiner = SampleJoiner(config, rate)
    wanted = []
    for segment in segments:
        wanted += [joiner.push(np.array(segment, dtype=np.float32)), joiner.end_segment()]
        wanted += [joiner.pause(0.05)]
    wanted.append(joiner.finish())
    whole = np.concatenate(wanted)
    assert len(found) == len(whole) < sum(map(len, segments))
    assert np.abs(np.array(found) - whole).max() < 1e-6


def test_text_ids_are_those_of_python(
    run: Callable[..., Any], synthesizer: OnnxSynthesizer
) -> None:
    found = run(
        "text graphs",
        """const { config, settings } = await graphs.Graphs.open(new URL("/", location.href));
           const vocab = new text.Vocab(config.symbols, settings);
           const ids = [];
           for (const each of given) ids.push(vocab.encode(await text.phonemesOf(each, "en-us")));
           return ids;""",
        SENTENCES,
    )
    frontend = TextFrontend()
    wanted = [list(frontend(sentence).text_ids) for sentence in SENTENCES]
    assert [len(each) for each in found] == [len(each) for each in wanted]
    # Its espeak-ng is a little older: a sound or two of a hundred may be another.
    pairs = list(zip(chain(*found), chain(*wanted), strict=True))
    assert sum(one != two for one, two in pairs) < 0.01 * len(pairs)


def test_a_long_text_is_cut_and_loses_no_word(run: Callable[..., Any]) -> None:
    text = "It rained. " + "All day long, and all night, " * 20
    text += "it rained.\n\n***\n\nThen it stopped."
    plan = {"max_chars": 100, "sentence_seconds": 0.3, "clause_seconds": 0.1}
    plan |= {"word_seconds": 0, "paragraph_seconds": 0.6}
    found = run("text", 'return text.planText(given.text, "en-us", given.plan, 24)',
                {"text": text, "plan": plan})  # fmt: skip
    said = [segment["text"] for segment in found]
    assert " ".join(said).split() == text.replace("***", "").split()
    assert all(len(segment) <= 100 for segment in said) and len(said) > 5
    rests = [segment["restSeconds"] for segment in found]
    assert rests[-2:] == [0.6, 0] and rests[0] == 0.3 and set(rests[1:-2]) == {0.1}


def test_a_voice_made_of_a_recording_is_that_of_python(
    run: Callable[..., Any], synthesizer: OnnxSynthesizer
) -> None:
    graphs = synthesizer.graphs
    rate = synthesizer.sample_rate
    samples = read_audio(PROMPT).resampled(rate).waveform[0].numpy()
    found = run(
        "voice graphs",
        """const opened = await graphs.Graphs.open(new URL("/", location.href));
           const { voice: made, notes } = await voice.createVoice(
             opened, Float32Array.from(given), null, "me");
           return [made.codes, made.spoken, notes];""",
        samples.tolist(),
    )
    wanted, findings = create_voice(graphs, synthesizer.frontend, PROMPT)
    codes, spoken, notes = found
    assert np.array(codes).shape == wanted.codes.shape
    assert (np.array(codes) == wanted.codes).mean() > 0.999
    assert wanted.spoken is not None and (np.array(spoken) == wanted.spoken).mean() > 0.999
    assert len(notes) == len([each for each in findings if each.code in ("cut", "short")])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([0.1] * 100, "too short"),
        ([0.0] * 32_000, "silent"),
        ([float(x) for x in 0.3 * np.sin(np.arange(48_000) * 0.2)], "no speech"),
    ],
    ids=["short", "silent", "hum"],
)
def test_a_recording_without_speech_is_refused(
    run: Callable[..., Any], samples: list[float], message: str
) -> None:
    found = run(
        "voice graphs",
        """const opened = await graphs.Graphs.open(new URL("/", location.href));
           try { await voice.createVoice(opened, Float32Array.from(given), null, "me"); }
           catch (problem) { return problem.message; }
           return "made";""",
        samples,
    )
    assert message in found


def test_what_is_said_is_what_python_says(
    run: Callable[..., Any], synthesizer: OnnxSynthesizer, folder: Path
) -> None:
    sentence = SENTENCES[1]
    parts = run(
        "synthesizer voice graphs",
        """const opened = await graphs.Graphs.open(new URL("/", location.href));
           const speaker = new synthesizer.Synthesizer(opened);
           const file = await graphs.fetchChecked("/voices/ada.safetensors");
           const ada = voice.readVoice(await file.arrayBuffer(), opened.config);
           const parts = [];
           for await (const part of speaker.stream(given, ada, 5)) parts.push(Array.from(part));
           return parts;""",
        sentence,
    )
    voice = synthesizer.load_voice(folder / "voices" / "ada.safetensors")
    chunks = [chunk.samples for chunk in synthesizer.stream(sentence, voice, seed=5)]
    found, wanted = np.concatenate(parts), np.concatenate(chunks)
    assert len([part for part in parts if part]) > 1  # it streams
    assert len(found) == len(wanted) > 16_000
    assert np.abs(found - wanted).max() < 1e-3
    assert float(torch.from_numpy(wanted).std()) > 1e-2
