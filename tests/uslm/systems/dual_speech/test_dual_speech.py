"""DualSpeechLM, whole: the chain of an answer, whose voice it has, and what does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm import SpeechAnswerer, VoicePrompt, ZeroShotTTS
from uslm.models.spans import Span
from uslm.systems.dual_speech import pipeline, segment_synthesizer
from uslm.systems.dual_speech.decoder import SPEAKER, TEXT, UNITS, text_bytes
from uslm.systems.dual_speech.model import DualLM, build_causal_lm
from uslm.systems.dual_speech.pipeline import DualSpeech
from uslm.systems.dual_speech.settings import VECTOR, DualSpeechSettings
from uslm.systems.dual_speech.speaker_vector import SPEAKER_DIM, speaker_vector
from uslm.systems.dual_speech.tiny import save_tiny_dual_speech, tiny_parts, tiny_vocab
from uslm.systems.gense.tiny import save_tiny_gense
from uslm.systems.loading import load_answerer
from uslm.systems.model_parts import Parts
from uslm.systems.two_stage.tiny import speech_like
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.errors import AudioError, ConfigError, UserError
from uslm_tokenizer.weight_hash import weight_hash

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def dual(settings: DualSpeechSettings | None = None, **others: Any) -> DualSpeech:
    return DualSpeech(Parts({**tiny_parts(), **others}), tiny_vocab(), settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_dual_speech(tmp_path_factory.mktemp("dual_speech"))


@pytest.fixture(scope="module")
def answerer(folder: Path) -> SpeechAnswerer:
    return SpeechAnswerer.from_pretrained(folder)


@pytest.fixture(scope="module")
def own_voice(folder: Path) -> VoicePrompt:
    return ZeroShotTTS.from_pretrained(folder).create_voice(speech_like(2.0, seed=9), "Some words.")


# ---- answers


def test_a_seed_and_the_question_decide_the_answer(
    answerer: SpeechAnswerer, folder: Path, own_voice: VoicePrompt
) -> None:
    question = speech_like(1.0)
    first = answerer.answer(question, seed=3)
    assert first.seconds > 0.1 and first.written and first.text == "" and first.voice == ""
    assert float(first.waveform.abs().max()) <= 1 and len(first.units) >= 10
    again = SpeechAnswerer(load_answerer(folder)).answer(question, seed=3)
    assert torch.equal(again.waveform, first.waveform) and again.written == first.written
    for other in (
        answerer.answer(question, seed=4),
        answerer.answer(speech_like(1.0, seed=5), seed=3),
        answerer.answer(question, voice=own_voice, seed=3),
    ):
        assert not torch.equal(other.waveform, first.waveform)


def test_an_answer_may_be_written_alone_and_a_question_too(
    answerer: SpeechAnswerer, own_voice: VoicePrompt
) -> None:
    question = speech_like(1.0)
    written = answerer.answer(question, speak=False, seed=1)
    assert written.seconds == 0 and written.written == answerer.answer(question, seed=1).written
    speech = answerer.answer(text="Who is it?", voice=own_voice, seed=1)
    assert speech.text == "Who is it?" and speech.voice == own_voice.name and speech.seconds > 0.1
    assert answerer.answer(text="Who is it?", speak=False, seed=1).written == speech.written


def test_each_stage_is_given_all_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text after the question's units, units after both, codes after text, units and vector."""
    prompts: list[tuple[list[Span], str]] = []
    given: list[dict[str, Tensor]] = []
    go_on, run = pipeline.go_on, segment_synthesizer.run_stages

    def went_on(model: Any, prompt: list[Span], kind: Any, **more: Any) -> Tensor:
        prompts.append((list(prompt), kind))
        return go_on(model, prompt, kind, **more)

    def ran(stages: Any, known: dict[str, Tensor], **more: Any) -> dict[str, Tensor]:
        given.append(dict(known))
        return run(stages, known, **more)

    for module in (pipeline, segment_synthesizer):
        monkeypatch.setattr(module, "go_on", went_on)
    monkeypatch.setattr(segment_synthesizer, "run_stages", ran)
    model, question = dual(), speech_like(1.0)
    speech = SpeechAnswerer(model).answer(question, seed=1)
    (first, text), (second, units) = prompts
    assert (text, units) == ("text", "speech")
    own = model.units.encode(question.waveform[None])[0, 0]
    assert [span.kind for span in first] == ["speech"] and torch.equal(first[0].ids, own)
    assert [span.kind for span in second] == ["speech", "text"]
    assert torch.equal(second[0].ids, own)
    assert tiny_vocab().decode(second[1].ids.tolist()) == speech.written
    [known] = given
    assert known.keys() == {SPEAKER, TEXT, UNITS}
    assert torch.equal(known[TEXT], text_bytes(speech.written))
    assert torch.equal(known[UNITS], speech.units)
    assert torch.equal(known[SPEAKER][0], speaker_vector(question))
    assert speech.codes.shape == (1, 2 * len(speech.units)), "codes last as long as the units"


# ---- what cannot be


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (torch.zeros(1, 0), "is empty"),
        (torch.zeros(1, 8000), "is silent"),
        (torch.full((1, 8000), torch.nan), "NaN or infinite"),
    ],
)
def test_what_cannot_be_heard_is_refused(
    answerer: SpeechAnswerer, waveform: Tensor, message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        answerer.answer(Audio(waveform, 16_000), seed=1)


def test_questions_that_do_not_do_are_refused(
    answerer: SpeechAnswerer, voice: VoicePrompt, own_voice: VoicePrompt, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="a recording or a text"):
        answerer.answer(speech_like(1.0), text="Who?")
    with pytest.raises(UserError, match="a recording or a text"):
        answerer.answer()
    with pytest.raises(UserError, match="has no voice to be answered in"):
        answerer.answer(text="Who?", seed=1)
    with pytest.raises(UserError, match="must have words"):
        answerer.answer(text=" ", voice=own_voice)
    with pytest.raises(ConfigError, match="create it again"):
        answerer.answer(speech_like(1.0), voice=voice)
    extras = {VECTOR: torch.zeros(1, 3)}
    with pytest.raises(ConfigError, match=f"a speaker vector of {SPEAKER_DIM} numbers, but has"):
        answerer.answer(speech_like(1.0), voice=replace(own_voice, extras=extras))
    with pytest.raises(UserError, match="at most 2048 tokens"):
        answerer.answer(speech_like(45.0), seed=1)
    with pytest.raises(UserError, match=r"'gense' answers no questions.*train_dual_speech"):
        SpeechAnswerer.from_pretrained(save_tiny_gense(tmp_path))


def test_parts_that_do_not_fit_are_named() -> None:
    parts: Any = tiny_parts()

    def lm(**changes: Any) -> DualLM:
        return DualLM(replace(parts["lm"].config, **changes))

    with pytest.raises(ConfigError, match="lm knows 7 units, but the tokenizer gives 16"):
        dual(lm=lm(codebook_size=7))
    own = weight_hash(tokenizer=parts["units"])
    with pytest.raises(UserError, match=f"of the tokenizer 0123, but is given those of {own}"):
        dual(lm=lm(tokenizer="0123"))
    small = {**parts["lm"].config.backbone, "vocab_size": 99}
    with pytest.raises(ConfigError, match=r"tokenizer\.json has 257 subwords, but lm 99"):
        dual(lm=lm(backbone=small))
    with pytest.raises(ConfigError, match="codec must give one code a frame, but gives 3"):
        dual(codec=WaveformCodec(WaveformCodec.tiny_config()))
    tiny = type(parts["decoder"])
    with pytest.raises(ConfigError, match=r"decoder was made for .*dim=6.*, but the other parts"):
        dual(decoder=tiny(tiny.tiny_config()))


# ---- the language model


def test_only_what_is_answered_is_predicted() -> None:
    model = DualLM(DualLM.tiny_config())
    question, text = torch.tensor([3, 4, 5]), torch.tensor([7, 8])
    row = [Span("speech", question), Span("text", text), Span("speech", torch.tensor([9]))]
    batch = model.batch([row], [1])
    speech, words, end = 32 + 300, 32 + 301, 32 + 302
    assert batch.tokens[0].tolist() == [speech, 3, 4, 5, end, words, 39, 40, end, speech, 9]
    assert batch.targets[0].tolist() == [*[-100] * 5, 39, 40, end, -100, 9, end]
    assert batch.is_speech[0].tolist() == [False] * 9 + [True] * 2
    joined = model.batch([[Span("text", text), Span("text", question)]], [1])
    assert joined.tokens[0].tolist() == [words, 39, 40, 35, 36, 37], "one span of text"
    assert joined.targets[0].tolist() == [-100, -100, 35, 36, 37, end]


def test_a_loaded_language_model_keeps_its_own_scores() -> None:
    """Text alone is scored as by the model that was loaded; tied or not."""
    for tied in (True, False):
        torch.manual_seed(0)
        backbone = {**DualLM.tiny_config().backbone, "tie_word_embeddings": tied}
        causal_lm = build_causal_lm(backbone, 2).eval()
        model = DualLM.from_causal_lm(causal_lm, codebook_size=8).eval()
        assert (model.text_head is None) == tied
        ids = torch.arange(5, 14)
        with torch.no_grad():
            wanted = causal_lm(input_ids=ids[None]).logits[0]
            scores = model.logits(model.forward(ids[None] + 8))[0]
        torch.testing.assert_close(scores[:, 8 : 8 + 300], wanted, **CLOSE)


def test_scores_that_are_more_than_a_linear_layer_are_refused() -> None:
    from transformers import CohereConfig, CohereForCausalLM

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    scaled = CohereForCausalLM(CohereConfig(**sizes, intermediate_size=32, vocab_size=20))
    torch.nn.init.normal_(scaled.model.embed_tokens.weight)
    with pytest.raises(ConfigError, match="those of 'cohere' are more than that"):
        DualLM.from_causal_lm(scaled.eval(), codebook_size=8)


# ---- the speaker's vector


def test_the_vector_tells_voices_apart_and_not_how_loud_they_are() -> None:
    one, other = speech_like(2.0), speech_like(2.0, seed=7)
    vector = speaker_vector(one)
    quiet = Audio(0.1 * one.waveform, one.sample_rate)
    torch.testing.assert_close(speaker_vector(quiet), vector, **CLOSE)
    later = torch.cat([torch.zeros(1, 8000), one.waveform], dim=1)
    near = float((speaker_vector(Audio(later, one.sample_rate)) - vector).abs().mean())
    far = float((speaker_vector(other) - vector).abs().mean())
    assert near < far
