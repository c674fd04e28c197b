"""Preparing a corpus: every good recording is in it, every bad one is listed with its reason."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from uslm.text.vocab import PhonemeVocab
from uslm_recipes.commands.prepare import main
from uslm_recipes.data.audio_files import AudioLimits
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.preparing.run import PrepareConfig, prepare
from uslm_recipes.data.recording import Recording, Rejected
from uslm_recipes.data.sources.folder import read_folder
from uslm_recipes.data.sources.manifest import read_manifest
from uslm_recipes.data.splits import split_of
from uslm_recipes.data.transcripts import EnglishFrontEnd, transcribe
from uslm_tokenizer.errors import TextError

CONFIG = PrepareConfig(num_workers=0)


class Letters:
    """A front end without espeak: letters are phonemes."""

    def phonemize(self, texts: Sequence[str]) -> list[str]:
        return [text.lower() for text in texts]

    def encode(self, phonemes: str) -> list[int]:
        return [ord(c) - ord("a") + 1 for c in phonemes if "a" <= c <= "z"]


def tone(seconds: float, rate: int = 16_000) -> NDArray[np.float32]:
    return (0.3 * np.sin(np.arange(round(seconds * rate)) * 0.05)).astype(np.float32)


def write_manifest(folder: Path, rows: Sequence[dict[str, Any] | str]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def make(folder: Path, rows: Sequence[dict[str, Any] | str], **config: Any) -> Corpus:
    manifest = write_manifest(folder, rows)
    settings = PrepareConfig(num_workers=0, **config)
    prepare(read_manifest(manifest), folder / "corpus", settings, front_end=Letters())
    return Corpus.open(folder / "corpus")


def rejected(folder: Path) -> list[dict[str, str]]:
    lines = (folder / "corpus/rejected.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_samples_and_texts_arrive(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.01), 16_000)
    soundfile.write(tmp_path / "b.flac", tone(0.5), 16_000)
    rows = [
        {"audio": "a.wav", "speaker": "x/1", "text": "Hello", "language": "en"},
        {"audio": "b.flac", "speaker": "x/2", "text": "Hallo", "language": "de"},
    ]
    corpus = make(tmp_path, rows)
    assert corpus.num_samples.tolist() == [16_000, 8_000]  # multiples of a frame
    np.testing.assert_allclose(corpus.waveform(0), tone(1.01)[:16_000], atol=1e-4)
    np.testing.assert_allclose(corpus.waveform(1), tone(0.5), atol=1e-4)
    np.testing.assert_allclose(corpus.waveform(1, 100, 200), tone(0.5)[100:200], atol=1e-4)
    first, second = corpus
    assert first.id == "a" and first.source == "x" and first.phonemes == "hello"
    assert corpus.text_ids[0].tolist() == [8, 5, 12, 12, 15]
    assert second.text == "Hallo" and second.text_ids == ()  # only English has a front end


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 8)])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    sound = np.repeat(tone(1.0, rate)[:, None], channels, axis=1)
    soundfile.write(tmp_path / "a.wav", sound, rate)
    corpus = make(tmp_path, [{"audio": "a.wav", "speaker": "s"}])
    assert corpus.sample_rate == 16_000 and corpus.num_samples.tolist() == [16_000]


def test_loud_audio_is_clipped_and_does_not_wrap(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.ogg", 4 * tone(1), 16_000, subtype="VORBIS")
    row = {"audio": "a.ogg", "speaker": "s"}
    corpus = make(tmp_path, [row], audio=AudioLimits(max_clipped_share=1))
    assert (corpus.waveform(0).diff().abs() < 0.5).all()


def test_bad_recordings_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "good.wav", tone(1), 16_000)
    soundfile.write(tmp_path / "dense.wav", tone(1), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "short.wav", tone(0.3), 16_000)
    soundfile.write(tmp_path / "long.wav", tone(20.1), 16_000)
    soundfile.write(tmp_path / "nan.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("this is no audio")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    names = ["silent", "short", "long", "nan", "text", "empty", "folder", "missing", "good", "good"]
    rows: list[dict[str, Any] | str] = [
        "{ not json",
        "[1, 2]",
        {"audio": "good.wav"},
        {"audio": "good.wav", "speaker": "s", "split": "exam"},
        {"audio": "good.wav", "speaker": "s", "phonemes": "ab", "durations": [0.1]},
        {"audio": "dense.wav", "speaker": "s", "text": "a" * 40},
        *({"audio": f"{name}.wav", "speaker": "s", "text": "ab"} for name in names),
    ]
    corpus = make(tmp_path, rows)
    assert [each.id for each in corpus] == ["good"]
    reasons = {each["where"]: each["reason"] for each in rejected(tmp_path)}
    expected = [
        "not JSON", "not a JSON object", "speaker", "split", "durations", "40 phonemes", "silent",
        "shorter", "longer", "finite", "unreadable", "unreadable", "no such file", "no such file",
        None, "duplicate",
    ]  # fmt: skip
    for line, reason in enumerate(expected, start=1):
        assert (reason or "") in reasons.get(f"manifest.jsonl:{line}", ""), line
        assert (reason is None) == (f"manifest.jsonl:{line}" not in reasons), line


def test_own_phonemes_keep_their_durations(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), 16_000)
    row = {
        "audio": "a.wav",
        "speaker": "s",
        "phonemes": "ab#c",  # '#' is outside the vocabulary
        "durations": [0.1, 0.2, 0.2, 0.05, 0.25, 0.2],
    }
    [utterance] = make(tmp_path, [row])
    assert utterance.text_ids == (1, 2, 3)
    assert utterance.durations == pytest.approx((0.1, 0.2, 0.25, 0.25, 0.2))


def test_words_stay_apart_where_phonemes_have_durations() -> None:
    """As the front end has them, loose spaces taken out and one put in after a comma."""
    own = " ab b ,a,b ."
    seconds = (0.05, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.17)
    recording = Recording(
        where="x", audio=Path("x"), id="x", source="x", speaker="x", phonemes=own, durations=seconds
    )
    [made] = transcribe([recording], EnglishFrontEnd())
    vocab = PhonemeVocab()
    assert vocab.decode(made.text_ids) == vocab.canonical(own) == "ab b, a, b."
    assert made.durations == pytest.approx(
        (0.06, 0.02, 0.03, 0.04, 0.11, 0.07, 0.0, 0.08, 0.09, 0.0, 0.21, 0.12, 0.17)
    )


def test_labels_are_kept_and_kokoros_voices_name_theirs(tmp_path: Path) -> None:
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", tone(1 + ord(name) % 3), 16_000)
    rows: list[dict[str, Any] | str] = [
        {"audio": "a.wav", "speaker": "s", "labels": {"emotion": "calm", "gender": "male"}},
        {"audio": "b.wav", "speaker": "kokoro/af_heart"},
        {"audio": "c.wav", "speaker": "s"},
        {"audio": "c.wav", "speaker": "s", "labels": {"gender": 1}},
    ]
    corpus = make(tmp_path, rows)
    assert [dict(each.labels) for each in corpus] == [
        {"emotion": "calm", "gender": "male"}, {"gender": "female"}, {}
    ]  # fmt: skip
    lines = (tmp_path / "corpus" / "utterances.jsonl").read_text("utf-8").splitlines()
    assert ['"labels"' in line for line in lines] == [True, True, False]
    assert "labels must be names of classes" in rejected(tmp_path)[0]["reason"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("GO THERE", "Go there."),
        ("IT IS A B A NOT A BEE", "It is A B A not a bee."),
        ("RUBOUT T", "Rubout t."),
        ("NO. GO.", "No. go."),
        ("I'D GO", "I'd go."),
        ("As it is", "As it is"),
    ],
)
def test_text_in_capitals_becomes_a_sentence(tmp_path: Path, text: str, read: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), 16_000)
    seen: list[str] = []

    class Spy(Letters):
        def phonemize(self, texts: Sequence[str]) -> list[str]:
            seen.extend(texts)
            return super().phonemize(texts)

    manifest = write_manifest(tmp_path, [{"audio": "a.wav", "speaker": "s", "text": text}])
    prepare(read_manifest(manifest), tmp_path / "corpus", CONFIG, front_end=Spy())
    assert seen == [read]


def test_speakers_are_whole_and_some_are_kept_out() -> None:
    splits = [split_of(f"x/{i}") for i in range(2000)]
    assert splits == [split_of(f"x/{i}") for i in range(2000)]
    assert 0.03 < splits.count("test") / 2000 < 0.05 and set(splits) == {"train", "test"}
    assert split_of("x/1", "valid") == "valid"


@pytest.mark.parametrize("speaker", ["ls/100", "ls/1995", "ls/5"])
def test_listed_test_speakers_are_never_trained_on(speaker: str) -> None:
    assert split_of(speaker) == split_of(speaker, "train") == "test"


def test_limit_keeps_whole_speakers(tmp_path: Path) -> None:
    rows = []
    for i in range(12):
        soundfile.write(tmp_path / f"{i}.wav", tone(0.5 + i / 50), 16_000)
        rows.append({"audio": f"{i}.wav", "speaker": f"s{i // 3}"})
    corpus = make(tmp_path, rows, limit=6)
    assert len(corpus) == 6 and len(set(corpus.speakers)) == 2
    again = make(tmp_path, rows, limit=6)
    assert again.speakers == corpus.speakers
    assert {tuple(make(tmp_path, rows, limit=6, seed=s).speakers) for s in range(8)} > {
        tuple(corpus.speakers)
    }


def test_workers_change_nothing(tmp_path: Path) -> None:
    rows = []
    for i in range(5):
        soundfile.write(tmp_path / f"{i}.wav", tone(0.5 + i / 10), 16_000)
        rows.append({"audio": f"{i}.wav", "speaker": "s"})
    manifest = write_manifest(tmp_path, rows)
    for workers in (0, 2):
        config = PrepareConfig(num_workers=workers)
        prepare(read_manifest(manifest), tmp_path / f"{workers}", config, front_end=Letters())
    alone, together = Corpus.open(tmp_path / "0"), Corpus.open(tmp_path / "2")
    assert alone.headers[0]["sha"] == together.headers[0]["sha"]


def test_former_corpus_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), 16_000)
    before = make(tmp_path, [{"audio": "a.wav", "speaker": "s"}]).headers
    with pytest.raises(ValueError, match="no usable recording"):
        make(tmp_path, [{"audio": "missing.wav", "speaker": "s"}])
    assert Corpus.open(tmp_path / "corpus").headers == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "corpus", "manifest.jsonl"]
    soundfile.write(tmp_path / "b.wav", tone(2), 16_000)
    assert make(tmp_path, [{"audio": "b.wav", "speaker": "s"}]).hours > 1.5 / 3600


def test_folder_of_audio_and_text(tmp_path: Path) -> None:
    root = tmp_path / "voices"
    for name in ("anna/one.wav", "anna/deep/two.wav", "three.wav"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, tone(0.5), 16_000)
    (root / "anna/one.txt").write_text("Good\n day ")
    found = list(read_folder(root, "en"))
    assert all(isinstance(each, Recording) for each in found)
    facts = {(e.id, e.speaker, e.text) for e in found if isinstance(e, Recording)}
    assert facts == {
        ("voices/anna/one", "voices/anna", "Good day"),
        ("voices/anna/deep/two", "voices/anna", ""),
        ("voices/three", "voices", ""),
    }


def test_folder_with_a_table(tmp_path: Path) -> None:
    root = tmp_path / "LJ"
    (root / "wavs").mkdir(parents=True)
    for name in ("a", "b"):
        soundfile.write(root / f"wavs/{name}.wav", tone(0.5), 16_000)
    (root / "metadata.csv").write_text("a|Dr. Who|Doctor Who\nb|Yes\nc|No\nnonsense\n\n")
    found = list(read_folder(root, "en"))
    texts = [(e.id, e.speaker, e.text) for e in found if isinstance(e, Recording)]
    assert texts == [("LJ/wavs/a", "LJ", "Doctor Who"), ("LJ/wavs/b", "LJ", "Yes")]
    lines = [e.where for e in found if isinstance(e, Rejected)]
    assert lines == ["LJ/metadata.csv:3", "LJ/metadata.csv:4"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), 16_000)
    (tmp_path / "a.txt").write_text("Hello there.")
    arguments = ["--folder", str(tmp_path), "--out", str(tmp_path / "c"), "--workers", "0"]
    assert main(arguments) == 0
    assert "1 utterances" in capsys.readouterr().out
    [utterance] = Corpus.open(tmp_path / "c")
    assert "h" in utterance.phonemes and len(utterance.text_ids) > 5


def test_command_takes_places_and_copies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), 16_000)
    manifest = write_manifest(tmp_path, [{"audio": "a.wav", "speaker": "s", "split": "train"}])
    arguments = [str(manifest), "--source", "manifest", "--speed", "0.9", "--pitch", "-2", "2"]
    assert main([*arguments, "--out", str(tmp_path / "c"), "--workers", "0"]) == 0
    assert "4 utterances of 4 speakers" in capsys.readouterr().out
    speakers = Corpus.open(tmp_path / "c").speakers
    assert speakers == ["s", "s#speed0.9", "s#pitch-2", "s#pitch+2"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 1, "give at least one place"),
        (["--manifest", "nowhere.jsonl"], 2, "nowhere.jsonl"),
        (["--folder", "nowhere"], 2, "nowhere"),
        (["--manifest", "nowhere.jsonl", "--limit", "0"], 1, "limit must be 1 or more"),
    ],
)
def test_command_says_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "c")]) == code
    reported = capsys.readouterr().err
    assert message in reported and reported.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_limits_are_checked_before_decoding(tmp_path: Path) -> None:
    assert AudioLimits().max_seconds == 20
    logging.captureWarnings(False)
    soundfile.write(tmp_path / "a.wav", tone(3), 16_000)
    with pytest.raises(ValueError, match="N s is longer than N s"):
        make(tmp_path, [{"audio": "a.wav", "speaker": "s"}], audio=AudioLimits(max_seconds=2))


def test_bytes_and_header_that_disagree(tmp_path: Path) -> None:
    wav = io.BytesIO()
    soundfile.write(wav, tone(1), 16_000, format="WAV")
    data = wav.getvalue()
    (tmp_path / "streamed.wav").write_bytes(data[:40] + bytes(4) + data[44:])
    (tmp_path / "two.wav").write_bytes(data + data)
    (tmp_path / "movie.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    (tmp_path / "link.wav").symlink_to(tmp_path / "nowhere.wav")
    names = ["streamed.wav", "two.wav", "movie.m4a", "link.wav", "n" * 5000]
    corpus = make(tmp_path, [{"audio": name, "speaker": "s"} for name in names])
    assert corpus.num_samples.tolist() == [16_000]
    reasons = [each["reason"] for each in rejected(tmp_path)]
    for reason, words in zip(
        reasons, ["two recordings", "an M4A file", "link to nowhere", "no such file"], strict=True
    ):
        assert words in reason


def test_a_text_that_cannot_be_read_leaves_out_its_recording_only(tmp_path: Path) -> None:
    class Choosy(Letters):
        def phonemize(self, texts: Sequence[str]) -> list[str]:
            if "bad" in texts:
                raise TextError("'bad' kills it")
            return super().phonemize(texts)

    for number, name in enumerate(("a", "b", "c"), start=1):
        soundfile.write(tmp_path / f"{name}.wav", tone(number), 16_000)
    texts = {"a.wav": "good", "b.wav": "bad", "c.wav": "fine"}
    rows = [{"audio": name, "speaker": "s", "text": text} for name, text in texts.items()]
    manifest = read_manifest(write_manifest(tmp_path, rows))
    prepare(manifest, tmp_path / "corpus", CONFIG, front_end=Choosy())
    assert [each.phonemes for each in Corpus.open(tmp_path / "corpus")] == ["good", "fine"]
    assert ["'bad' kills it" in each["reason"] for each in rejected(tmp_path)] == [True]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"segment": {"start_seconds": NaN}}', "start_seconds of the segment"),
        ('{"segment": {"stop_seconds": Infinity}}', "stop_seconds of the segment"),
        ('{"segment": {"start_seconds": -1}}', "start_seconds of the segment"),
        ('{"segment": {"start_seconds": true}}', "start_seconds of the segment"),
        ('{"segment": {"offset": 1.5, "num_bytes": 9}}', "offset of the segment"),
        ('{"segment": {"offset": -1, "num_bytes": 9}}', "offset of the segment"),
        ('{"segment": {"offset": 0, "num_bytes": -1}}', "num_bytes of the segment"),
        ('{"segment": {"offset": 1e999, "num_bytes": 9}}', "offset of the segment"),
        (f'{{"segment": {{"num_bytes": {10**30}}}}}', "num_bytes of the segment"),
        (f'{{"segment": {{"num_bytes": {2**62}}}}}', "segment ends after"),
        ('{"segment": [1]}', "segment must be an object"),
        (f'{{"segment": {"9" * 5000}}}', "not JSON"),
        ('{"phonemes": "a", "durations": [0.1, NaN, 0.1]}', "durations"),
        (f'{{"phonemes": "a", "durations": [0.1, {10**400}, 0.1]}}', "durations"),
        ('{"text": "\\ud800"}', "not JSON"),
        ('{"audio": "\\u0000"}', "no such file"),
        ('{"audio": "."}', "no such file"),
        (f'{{"text": {"[" * 100_000}}}', "not JSON"),
        (f'{{"text": {"[" * 900}{"]" * 900}}}', "text must be a string"),
    ],
)
def test_one_bad_line_ends_nothing(tmp_path: Path, line: str, reason: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), 16_000)
    soundfile.write(tmp_path / "b.wav", tone(2), 16_000)
    audio = "" if '"audio"' in line else '"audio": "b.wav", '
    bad = f'{{{audio}"speaker": "s", {line[1:]}'
    corpus = make(tmp_path, [bad, {"audio": "a.wav", "speaker": "s"}])
    assert [each.id for each in corpus] == ["a"]
    [reported] = rejected(tmp_path)
    assert reason in reported["reason"] and len(reported["reason"]) < 300


def test_places_that_are_null_are_those_that_are_not_given(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), 16_000)
    segment = dict.fromkeys(("start_seconds", "stop_seconds", "offset", "num_bytes"))
    assert len(make(tmp_path, [{"audio": "a.wav", "speaker": "s", "segment": segment}])) == 1
