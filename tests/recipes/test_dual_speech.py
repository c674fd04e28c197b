"""The recipe of DualSpeechLM at `tiny` size: both stages, the folder they leave, resuming, rows,
mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import Tensor

from uslm import SpeechAnswerer
from uslm.models.spans import Span
from uslm.systems.dual_speech.decoder import CODES, SPEAKER, TEXT, UNITS
from uslm.systems.dual_speech.model import DualLM
from uslm.systems.dual_speech.tiny import save_tiny_causal_lm, tiny_parts, tiny_vocab
from uslm.systems.two_stage.tiny import speech_like
from uslm_recipes.commands.encode import main as encode
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.rows.answer import AnswerRows, AnswerTasks, read_answers
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import LoopConfig
from uslm_recipes.train.dual_speech import DualSpeechRecipe, lm_stage, main
from uslm_recipes.train.lora import LoRAConfig, add_lora, merge_lora
from uslm_tokenizer.codecs.judged_units.model import JudgedUnits
from uslm_tokenizer.errors import ConfigError, MissingResource, UserError
from uslm_tokenizer.objectives.frozen_lm import FrozenLM
from uslm_tokenizer.objectives.judged import References, Texts
from uslm_tokenizer.objectives.lm_judges import AnswerConfig
from uslm_tokenizer.objectives.unit_list import ObjectiveList, ObjectivesConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


@pytest.fixture(scope="session")
def parts(material: Path) -> Path:
    """Tokenizers, the tokens that they make of the corpus, and a causal language model."""
    out = material.parent / "dual_parts"
    with FileLock(f"{out}.lock"):
        if not (out / "lm").exists():
            made = tiny_parts()
            for name in ("units", "codec"):
                made[name].save_pretrained(out / name)
                given = ["--corpus", str(material / "corpus"), "--tokenizer", str(out / name)]
                assert encode([*given, "--out", str(out / f"{name}_tokens")]) == 0
            save_tiny_causal_lm(out / "lm")
    return out


def arguments(material: Path, parts: Path, out: Path, *more: str) -> list[str]:
    given = [
        f"corpus=[{material / 'corpus'}]", f"units_tokens=[{parts / 'units_tokens' / '0'}]",
        f"backbone={parts / 'lm'}", *more,
    ]  # fmt: skip
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


def for_decoder(parts: Path, lm: Path) -> list[str]:
    named = [f"{name}={parts / name}" for name in ("units", "codec")]
    tokens = f"codes_tokens=[{parts / 'codec_tokens' / '0'}]"
    return ["stage=decoder", tokens, *named, f"language_model={lm}"]


@pytest.fixture(scope="session")
def finished(material: Path, parts: Path) -> Path:
    """Both stages, the second after the first."""
    out = material.parent / "dual"
    with FileLock(f"{out}.lock"):
        if not (out / "decoder" / "system").exists():
            assert main(arguments(material, parts, out / "lm")) == 0
            more = for_decoder(parts, out / "lm" / "model")
            assert main(arguments(material, parts, out / "decoder", *more)) == 0
    return out


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


def test_both_stages_learn_and_leave_a_folder_that_answers(finished: Path) -> None:
    for stage, names in (("lm", {"text", "units", "texts_right"}), ("decoder", {"codes"})):
        learnt = "units" if stage == "lm" else "codes"  # a batch may have no text to predict
        losses = [row[learnt] for row in records(finished / stage, "train")]
        assert losses[-1] < losses[0]
        assert names <= records(finished / stage, "valid")[-1].keys()
    answerer = SpeechAnswerer.from_pretrained(finished / "decoder" / "system")
    speech = answerer.answer(speech_like(1.0), seed=1)
    assert speech.seconds > 0.1 and speech.model == "dual_speech"


@pytest.mark.parametrize("stage", ["lm", "decoder"])
def test_a_resumed_run_ends_with_the_same_weights(
    stage: str, finished: Path, material: Path, parts: Path, tmp_path: Path
) -> None:
    more = for_decoder(parts, finished / "lm" / "model") if stage == "decoder" else []
    given = arguments(material, parts, tmp_path, *more, "loop.save_every_minutes=1e-9")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    whole = (finished / stage / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_lora_moves_what_is_merged_and_leaves_the_text_table(finished: Path, parts: Path) -> None:
    from transformers import AutoModelForCausalLM

    trained = DualLM.from_pretrained(finished / "lm" / "model")
    before = AutoModelForCausalLM.from_pretrained(parts / "lm").model.state_dict()
    after = trained.body.state_dict()
    assert after.keys() == before.keys(), "nothing of LoRA is left beside the weights"
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    linear = {name for name in after if name.endswith("proj.weight")}
    assert moved == linear and linear
    assert trained.tokenizer_hash != ""


def test_merged_matrices_say_what_they_said_beside() -> None:
    torch.manual_seed(0)
    model = DualLM(DualLM.tiny_config()).eval()
    batch = model.batch([[Span("text", torch.arange(9)), Span("speech", torch.arange(7))]])
    before = model.token_losses(batch).detach()
    handle = add_lora(model.body, LoRAConfig(rank=2, dropout=0.0))
    own = {"own.weight", "to_own.weight", "to_own.bias"}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert own < trained and all("lora_" in name for name in trained - own)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    beside = model.token_losses(batch).detach()
    assert not torch.allclose(beside, before, atol=1e-3)
    model.body = merge_lora(handle)
    torch.testing.assert_close(model.token_losses(batch).detach(), beside, atol=1e-4, rtol=1e-4)


# ---- rows


def rows_of(material: Path, parts: Path, answers: dict[int, int] | None = None) -> AnswerRows:
    corpus = Corpus.open([material / "corpus"])
    units = TokenCorpus.open(corpus, [parts / "units_tokens" / "0"])
    return AnswerRows(corpus, units, answers or {})


def test_rows_hold_the_question_and_its_own_answer(material: Path, parts: Path) -> None:
    rows, vocab = rows_of(material, parts, {0: 2}), tiny_vocab()
    random = np.random.default_rng(0)

    def units(index: int) -> Tensor:
        return rows.units.codes(index)[0]

    def letters(index: int) -> str:
        return rows.corpus.utterances[index].text

    spoken = rows.row(0, AnswerTasks(speak=0.0), vocab, random)
    assert [span.kind for span in spoken] == ["speech", "text", "speech"]
    assert torch.equal(spoken[0].ids, units(0)) and torch.equal(spoken[2].ids, units(2))
    assert vocab.decode(spoken[1].ids.tolist()) == letters(2)
    written = rows.row(0, AnswerTasks(spoken=0.0, written=1.0, speak=0.0), vocab, random)
    assert [span.kind for span in written] == ["text", "text", "speech"]
    assert vocab.decode(written[0].ids.tolist()) == letters(0) + "\n"
    spoken_text = rows.row(1, AnswerTasks(spoken=0.0), vocab, random)
    assert [span.kind for span in spoken_text] == ["text", "speech"]
    assert torch.equal(spoken_text[1].ids, units(1)), "without an answer it is said again"


def stage_of(material: Path, parts: Path, **changes: Any) -> Any:
    recipe = DualSpeechRecipe(
        backbone=str(parts / "lm"), loop=LoopConfig(ema_decay=None), lora=None, **changes
    )
    return lm_stage(recipe, rows_of(material, parts))


def test_only_the_answer_is_learnt(material: Path, parts: Path) -> None:
    stage = stage_of(material, parts, tasks=AnswerTasks(speak=0.0))
    batch = stage.batch([0], [np.random.default_rng(0)])
    rows = rows_of(material, parts)
    letters, units = len(rows.corpus.utterances[0].text), len(rows.units.codes(0)[0])
    assert stage.counts(batch) == {"text": letters + 1, "units": units + 1}, "and its ends"
    assert not bool((batch.targets[0, : units + 2] >= 0).any())


def test_without_semantic_loss_no_unit_is_learnt(material: Path, parts: Path) -> None:
    for weight in (0.0, 2.0):
        stage = stage_of(material, parts, semantic_weight=weight)
        assert stage.objective.weights({"text": 1.0, "units": 1.0}) == {
            "text": 1.0, "units": weight
        }  # fmt: skip


def test_the_decoder_is_shown_both_and_each_alone(material: Path, parts: Path) -> None:
    rows = rows_of(material, parts)
    codes = TokenCorpus.open(rows.corpus, [parts / "codec_tokens" / "0"])
    seen = {
        tuple(
            span.kind
            for span in rows.decoder_row(0, codes, np.random.default_rng(seed), alone=(0.3, 0.3))
        )
        for seed in range(30)
    }
    assert seen == {
        (SPEAKER, TEXT, UNITS, CODES), (SPEAKER, TEXT, CODES), (SPEAKER, UNITS, CODES)
    }  # fmt: skip
    plain = rows.decoder_row(0, codes, np.random.default_rng(0))
    assert bytes(plain[1].ids.tolist()).decode() == rows.corpus.utterances[0].text
    assert torch.equal(plain[-1].ids, codes.codes(0)[0])


def test_answers_are_read_by_the_ids_of_the_corpus(material: Path, tmp_path: Path) -> None:
    corpus = Corpus.open([material / "corpus"])
    first, second, third = (corpus.utterances[i].id for i in range(3))
    path = tmp_path / "answers.jsonl"
    lines = [{"question": first, "answer": second}, {"question": third, "answer": first}]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert read_answers(str(path), corpus, [0, 1]) == {0: 1}, "both of one split"
    assert read_answers(str(path), corpus, [0, 1, 2]) == {0: 1, 2: 0}
    path.write_text('{"question": "nobody", "answer": "nobody"}')
    with pytest.raises(
        UserError, match=r"answers\.jsonl:1 names 'nobody', which the corpus has not"
    ):
        read_answers(str(path), corpus, [0])
    path.write_text("[1]")
    with pytest.raises(UserError, match="must be an object with 'question' and 'answer'"):
        read_answers(str(path), corpus, [0])
    with pytest.raises(MissingResource, match="no answers"):
        read_answers(str(tmp_path / "gone.jsonl"), corpus, [0])


# ---- understanding units


def test_the_answers_gradient_reaches_the_units_and_not_the_language_model(parts: Path) -> None:
    """Through USTokenizer's loss alone: adapter and codebook learn, the model that judges does
    not, nor does the speech encoder, which is frozen in this recipe."""
    judge = FrozenLM.load(str(parts / "lm"))
    config = JudgedUnits.tiny_config()
    quantizer = VectorQuantizerConfig(dim=8, codebook_size=16, update="gradient")
    torch.manual_seed(0)
    units = JudgedUnits(replace(config, quantizer=quantizer)).train()
    objectives = ObjectiveList(
        ObjectivesConfig(answer=AnswerConfig()),
        latent_dim=8, feature_dim=16, codebook_size=16, judge=judge,
    )  # fmt: skip
    made = units(speech_like(1.0).waveform[None], torch.tensor([16_000]))
    text = judge.text_ids("Hello there.")
    texts = Texts(torch.tensor([0]), text[None], torch.tensor([len(text)]))
    objectives(made, References(judge_texts=texts)).losses["answer"].backward()
    assert units.adapter is not None

    def reached(module: torch.nn.Module) -> list[bool]:
        return [bool(p.grad is not None and (p.grad != 0).any()) for p in module.parameters()]

    assert all(reached(units.adapter)) and any(reached(objectives))
    assert not any(reached(judge.model)) and not any(reached(units.encoder.backbone))


# ---- mistakes


def test_parts_of_another_tokenizer_are_refused_before_training(
    finished: Path, material: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tiny_parts(seed=5)
    other["units"].save_pretrained(tmp_path / "units")
    more = for_decoder(parts, finished / "lm" / "model")
    given = arguments(material, parts, tmp_path / "a", *more, f"units={tmp_path / 'units'}")
    assert main(given) == 1
    said = capsys.readouterr().err
    assert "units must be the tokenizer" in said and "which made the tokens, but" in said
    other["lm"].save_pretrained(tmp_path / "lm")
    text = (finished / "lm" / "model" / "tokenizer.json").read_text()
    (tmp_path / "lm" / "tokenizer.json").write_text(text)
    given = arguments(material, parts, tmp_path / "b", *for_decoder(parts, tmp_path / "lm"))
    assert main(given) == 1
    assert "was trained on units of the tokenizer" in capsys.readouterr().err


def test_a_language_model_that_sees_what_follows_is_refused(
    material: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import BertConfig, BertLMHeadModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    bert = BertConfig(**sizes, intermediate_size=32, vocab_size=300, is_decoder=False)
    BertLMHeadModel(bert).save_pretrained(tmp_path / "bert")
    given = arguments(material, parts, tmp_path / "out", f"backbone={tmp_path / 'bert'}")
    assert main(given) == 1
    assert "must be causal, but 'bert' sees what follows" in capsys.readouterr().err


def test_settings_that_do_not_do_are_told() -> None:
    for wrong, message in (
        ({"text_alone": 0.8}, "at most 1 together"),
        ({"semantic_weight": -1.0}, "semantic_weight must be 0 or more"),
        ({}, "ema_decay must be null"),
    ):
        with pytest.raises(ConfigError, match=message):
            DualSpeechRecipe(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"lora.rank must be at least 1, but is 0"):
        LoRAConfig(rank=0)
    with pytest.raises(ConfigError, match="one of them above"):
        AnswerTasks(spoken=0.0, speak=0.0)
