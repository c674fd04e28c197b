"""What is held out, the whole evaluation with a model that babbles and made-up judges, the card."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from uslm.evaluation.metrics.scores import Judges
from uslm.evaluation.report.report import load_report, sections_of
from uslm.evaluation.suites import speaking
from uslm.systems.two_stage.bundle import bundle_of, save_bundle
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle
from uslm.tts import ZeroShotTTS
from uslm_recipes.cards import model_card
from uslm_recipes.cards.training_facts import read_corpora, read_run
from uslm_recipes.commands.evaluate import evaluate, main, parser
from uslm_recipes.data.recording import Recording
from uslm_recipes.evaluating import held_out
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import GenerationError, MissingResource, UserError

TEXTS = ("The first of two little sentences.", "And here comes the other one.")


def row(audio: str, speaker: str, text: str = "", split: str | None = None) -> dict[str, str]:
    fields = {"audio": audio, "speaker": speaker, "text": text, "language": "en"}
    return fields if split is None else {**fields, "split": split}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers of `ls`, two of them held out; two held-out texts, one of them also heard."""
    folder = tmp_path_factory.mktemp("speech")
    rows = [row(f"ls-{s}-{i}.wav", f"ls/{s}") for s in (5, 7, 10) for i in range(2)]
    rows += [row(f"k{i}.wav", "kokoro/a", text, "test") for i, text in enumerate(TEXTS)]
    rows.append(row("k9.wav", "kokoro/b", TEXTS[0], "train"))
    for i, each in enumerate(rows):
        speech = speech_like(3.2, seed=i)
        write_audio(folder / each["audio"], speech.waveform, speech.sample_rate)
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def tts() -> ZeroShotTTS:
    return ZeroShotTTS(tiny_bundle())


def options(manifest: Path, out: Path, *more: str) -> argparse.Namespace:
    usual = ["--recognizer", "judges", "--manifest", str(manifest), "--out", str(out)]
    few = ["--voices", "2", "--sentences", "1", "--clips", "2", "--clip-sources", "kokoro"]
    return parser().parse_args([*usual, *few, *more])


def half_deaf(waveforms: Sequence[torch.Tensor]) -> list[str]:
    return ["the ferry leaves"] * len(waveforms)


JUDGES = Judges(
    recognizer=half_deaf,
    normalize=lambda text: text.lower().strip("."),
    speaker_model=lambda waveform: torch.fft.rfft(waveform, 64).abs() + 1e-3,
    quality_model=lambda waveform: {"dnsmos": 2.0 + float(waveform.abs().max())},
)


# ---- what is held out


def test_voices_are_speakers_that_no_training_sees(manifest: Path) -> None:
    recordings = held_out.read_recordings([manifest])
    draw = torch.Generator().manual_seed(0)
    voices = held_out.choose_voices(recordings, 2, source="ls", seconds=(3, 8), generator=draw)
    assert {voice.speaker for voice in voices} == {"ls/5", "ls/10"}
    for voice in voices:
        assert voice.other is not None
        assert voice.other.speaker == voice.prompt.speaker
        assert voice.other != voice.prompt
    with pytest.raises(UserError, match=r"must be 3 held-out voices.*but there are 2"):
        held_out.choose_voices(recordings, 3, source="ls", seconds=(3, 8), generator=draw)
    with pytest.raises(UserError, match="there are 0"):
        held_out.choose_voices(recordings, 1, source="ls", seconds=(5, 8), generator=draw)


def test_choice_depends_on_the_seed_alone(manifest: Path) -> None:
    recordings = held_out.read_recordings([manifest])

    def names(seed: int, found: list[Recording]) -> list[str]:
        draw = torch.Generator().manual_seed(seed)
        voices = held_out.choose_voices(found, 2, source="ls", seconds=(3, 8), generator=draw)
        return [voice.prompt.id for voice in voices]

    assert names(1, recordings) == names(1, recordings)
    assert len({tuple(names(seed, recordings)) for seed in range(8)}) > 1


def test_test_sentences_are_in_no_other_recording(manifest: Path) -> None:
    recordings = held_out.read_recordings([manifest])
    draw = torch.Generator().manual_seed(0)
    assert held_out.choose_sentences("test", 1, recordings, generator=draw) == [TEXTS[1]]
    with pytest.raises(UserError, match="there must be 2 sentences"):
        held_out.choose_sentences("test", 2, recordings, generator=draw)


def test_own_sentences_and_those_of_a_file(tmp_path: Path) -> None:
    draw = torch.Generator()
    own = held_out.choose_sentences("own", 10, [], generator=draw)
    assert len(set(own)) == 10
    assert all(len(text.split()) >= 8 for text in own)
    file = tmp_path / "texts.txt"
    file.write_text("One.\n\n  Two.\n", "utf-8")
    assert held_out.choose_sentences(str(file), 2, [], generator=draw) == ["One.", "Two."]
    with pytest.raises(MissingResource, match=r"nothing\.txt"):
        held_out.choose_sentences(str(tmp_path / "nothing.txt"), 1, [], generator=draw)


def test_a_manifest_with_a_missing_file_or_a_bad_line_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(json.dumps(row("gone.wav", "ls/5")) + "\n", "utf-8")
    recordings = held_out.read_recordings([path])
    draw = torch.Generator()
    with pytest.raises(MissingResource, match=r"gone\.wav"):
        held_out.choose_voices(recordings, 1, source="ls", seconds=(3, 8), generator=draw)
    path.write_text("{\n", "utf-8")
    with pytest.raises(UserError, match="not JSON"):
        held_out.read_recordings([path])


# ---- the whole


@pytest.fixture(scope="module")
def evaluation(manifest: Path, tts: ZeroShotTTS, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with speech and report."""
    out = tmp_path_factory.mktemp("evaluation")
    report = evaluate(tts, JUDGES, options(manifest, out))
    (out / "report.json").write_text(report.to_json(), "utf-8")
    (out / "report.md").write_text(report.to_markdown(), "utf-8")
    return out


def test_report_has_every_measure(evaluation: Path) -> None:
    report = load_report(evaluation / "report.json")
    sections = sections_of(report)
    assert list(sections) == ["speech", "voices", "parts", "units", "speed"]
    everything = sections["speech"].rows["all"]
    assert everything["wer"].count == 2
    assert everything["wer"].value == pytest.approx(9 / 12), "three of twelve words were heard"
    assert set(everything) == {"wer", "wer_mean", "cer", "cosine", "dnsmos"}
    assert set(sections["speech"].rows) == {"all", "voice ls/5", "voice ls/10"}
    assert len(sections["voices"].rows) == 3
    assert set(sections["parts"].rows) == {
        f"kokoro: {part}"
        for part in ("recordings as they are", "codec alone", "stage 2 from true units")
    }
    assert sections["units"].rows["kokoro"]["per"].value > 0
    speed = {label: row["real_time_factor"].value for label, row in sections["speed"].rows.items()}
    assert speed["all"] >= max(value for label, value in speed.items() if label != "all")
    for key in ("uslm", "machine", "config", "model", "created"):
        assert report[key]
    assert report["config"]["seed"] == 0


def test_markdown_shows_values_with_their_intervals(evaluation: Path) -> None:
    text = (evaluation / "report.md").read_text("utf-8")
    assert "| all | 75.0 [75.0, 75.0] |" in text
    assert "kokoro: codec alone" in text


def test_speech_is_kept_with_what_is_needed_to_make_it_again(
    evaluation: Path, tts: ZeroShotTTS, manifest: Path
) -> None:
    spoken = speaking.read_spoken(evaluation)
    assert [each.seed for each in spoken] == [0, 1]
    voice = tts.create_voice(evaluation / spoken[1].prompt)
    again = tts.generate(spoken[1].text, voice, seed=spoken[1].seed)
    kept = speaking.waveform_at(evaluation / spoken[1].audio, 16_000)
    torch.testing.assert_close(kept, again.waveform[0], atol=1e-4, rtol=0)


def test_what_was_spoken_can_be_judged_again(
    evaluation: Path, tts: ZeroShotTTS, manifest: Path
) -> None:
    before = (evaluation / "manifest.jsonl").read_text("utf-8")
    report = evaluate(tts, JUDGES, options(manifest, evaluation, "--judge-only", "--clips", "0"))
    assert list(report.sections) == ["speech", "voices", "speed"]
    assert (evaluation / "manifest.jsonl").read_text("utf-8") == before


def test_a_missing_file_is_an_error(evaluation: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="--judge-only"):
        speaking.read_spoken(tmp_path)
    lines = (evaluation / "manifest.jsonl").read_text("utf-8")
    (tmp_path / "manifest.jsonl").write_text(lines, "utf-8")
    with pytest.raises(MissingResource, match="no such file"):
        speaking.read_spoken(tmp_path)


def test_an_utterance_that_fails_counts_as_silence(
    manifest: Path, tts: ZeroShotTTS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise GenerationError("nothing came out")

    monkeypatch.setattr(tts, "generate", fail)
    report = evaluate(tts, JUDGES, options(manifest, tmp_path, "--clips", "0"))
    assert "2 of them failed" in report.sections["speech"].note
    assert report.utterances[0]["error"] == "nothing came out"
    assert not report.sections["speed"].rows


def test_refuses_to_replace_and_names_what_is_missing(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--recognizer", "judges", "--out", str(evaluation)]) == 1
    assert "--force" in capsys.readouterr().err
    arguments = ["--recognizer", "judges", "--out", str(tmp_path), "--model", str(tmp_path / "no")]
    assert main(arguments) == 2
    assert "no model folder" in capsys.readouterr().err


# ---- the card


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "units"
    folder.mkdir()
    lines = [
        {"kind": "train", "step": 50, "steps_per_second": 1.0, "audio_seconds_per_second": 72.0,
         "minutes": 1.0},
        {"kind": "valid", "step": 50, "loss": 1.0},
        {"kind": "train", "step": 100, "steps_per_second": 0.5, "audio_seconds_per_second": 36.0,
         "minutes": 3.0},
        {"kind": "done", "step": 100, "minutes": 3.1, "checkpoint": "step-100"},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(text, "utf-8")
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    header = {
        "hours_by_source": {"ls": 1.0, "kokoro": 2.5},
        "hours_by_split": {"train": 3.0, "test": 0.5},
    }
    (folder / "corpus.json").write_text(json.dumps(header), "utf-8")
    return folder


def test_facts_of_a_run_come_from_its_log(run: Path, tmp_path: Path) -> None:
    facts = read_run(run)
    assert (facts.name, facts.steps, facts.minutes) == ("units", 100, 3.1)
    assert facts.audio_hours == pytest.approx((50 * 72 + 100 * 36) / 3600)
    with pytest.raises(MissingResource, match=r"log\.jsonl"):
        read_run(tmp_path)
    (run / "log.jsonl").write_text("", "utf-8")
    with pytest.raises(UserError, match="no training step"):
        read_run(run)


def test_every_source_needs_a_licence(corpus: Path, tmp_path: Path) -> None:
    facts = read_corpora([corpus, corpus])
    assert [(source.key, source.hours) for source in facts.sources] == [("kokoro", 5.0), ("ls", 2)]
    assert facts.sources[1].licence == "CC BY 4.0"
    header = {"hours_by_source": {"mine": 1.0}, "hours_by_split": {"train": 1.0}}
    (corpus / "corpus.json").write_text(json.dumps(header), "utf-8")
    with pytest.raises(UserError, match=r"'mine'.*--source 'mine=NAME; LICENCE'"):
        read_corpora([corpus])
    (mine,) = read_corpora([corpus], ["mine=my voice; CC0"]).sources
    assert (mine.name, mine.licence) == ("my voice", "CC0")
    with pytest.raises(UserError, match="must be 'KEY=NAME; LICENCE'"):
        read_corpora([corpus], ["mine=my voice"])


def test_card_is_written_from_what_was_measured(
    evaluation: Path, tts: ZeroShotTTS, run: Path, corpus: Path, tmp_path: Path
) -> None:
    folder = save_bundle(bundle_of(tts.synthesizer), tmp_path / "model")
    arguments = ["--model", str(folder), "--report", str(evaluation / "report.json"), "--runs",
                 str(run), "--corpus", str(corpus), "--trained-on", "2 CPU cores"]  # fmt: skip
    assert model_card.main(arguments) == 0
    card = (folder / "README.md").read_text("utf-8")
    front, body = card.split("---\n")[1:]
    assert "license: apache-2.0" in front
    assert "pipeline_tag: text-to-speech" in front
    assert "{type: wer, value: 0.7500}" in front
    for fact in ("3 minutes on 2 CPU cores", "WER 75.0", "| units | 100 | 3.1 | 2.0 |",
                 "| LibriSpeech | 1.00 | CC BY 4.0 |", "Most words are not understood",
                 "## Misuse", tts.synthesizer.hash):  # fmt: skip
        assert fact in body


def test_card_tells_what_the_runs_went_on_from(
    evaluation: Path, tts: ZeroShotTTS, run: Path, corpus: Path, tmp_path: Path
) -> None:
    folder = save_bundle(bundle_of(tts.synthesizer), tmp_path / "model")
    arguments = ["--model", str(folder), "--report", str(evaluation / "report.json"), "--runs",
                 str(run), "--corpus", str(corpus), "--trained-on", "2 CPU cores",
                 "--trained-before", "A decoder of 9 minutes."]  # fmt: skip
    assert model_card.main(arguments) == 0
    card = (folder / "README.md").read_text("utf-8")
    assert "Trained on 2 CPU cores. Before these runs: A decoder of 9 minutes." in card
    assert "All stages together" not in card


def test_without_logs_a_card_says_in_words_how_the_model_was_trained(
    evaluation: Path,
    tts: ZeroShotTTS,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = save_bundle(bundle_of(tts.synthesizer), tmp_path / "model")
    arguments = ["--model", str(folder), "--report", str(evaluation / "report.json"), "--corpus",
                 str(corpus), "--trained-on", "2 CPU cores"]  # fmt: skip
    assert model_card.main(arguments) == 1
    assert "must say in words how the model was trained" in capsys.readouterr().err
    assert model_card.main([*arguments, "--trained-before", "All in 9 minutes."]) == 0
    card = (folder / "README.md").read_text("utf-8")
    assert "Trained on 2 CPU cores. All in 9 minutes. The logs are not kept." in card
    assert "0 minutes" not in card and "| run |" not in card


def test_the_machine_comes_from_the_runs(
    evaluation: Path,
    tts: ZeroShotTTS,
    run: Path,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = save_bundle(bundle_of(tts.synthesizer), tmp_path / "model")
    arguments = ["--model", str(folder), "--report", str(evaluation / "report.json"), "--runs",
                 str(run), "--corpus", str(corpus)]  # fmt: skip
    assert model_card.main(arguments) == 1
    assert "run 'units' names no machine" in capsys.readouterr().err
    machine = {"kind": "machine", "step": 0, "processes": 2, "threads": 4, "cpu": "Xeon"}
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({**machine, "device": "cuda:0 NVIDIA H100"}) + "\n")
        log.write(json.dumps({**machine, "device": "cpu"}) + "\n")
    assert model_card.main(arguments) == 0
    card = (folder / "README.md").read_text("utf-8")
    assert "Trained on 2 x NVIDIA H100 and 8 cores of Xeon." in card


def test_card_refuses_the_report_of_another_model(
    evaluation: Path, run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_bundle(tiny_bundle(seed=9), tmp_path / "model")
    arguments = ["--model", str(folder), "--report", str(evaluation / "report.json"), "--runs",
                 str(run), "--corpus", str(corpus), "--trained-on", "2 CPU cores"]  # fmt: skip
    assert model_card.main(arguments) == 1
    assert "evaluate it first" in capsys.readouterr().err
