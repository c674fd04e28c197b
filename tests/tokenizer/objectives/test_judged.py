"""The list of objectives: each by a hand's count, who gets which gradient, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource
from uslm_tokenizer.objectives.codes import ReaderConfig, lacking_entropy
from uslm_tokenizer.objectives.frozen_lm import FrozenLM
from uslm_tokenizer.objectives.judged import References, Texts, Tokenized
from uslm_tokenizer.objectives.lm_judges import AnswerConfig, LikelihoodConfig
from uslm_tokenizer.objectives.speech_judges import CTCConfig, TeacherConfig
from uslm_tokenizer.objectives.unit_list import ObjectiveList, ObjectivesConfig
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig

SMALL: dict[str, Any] = {"dim": 16, "num_heads": 2, "num_layers": 1}
LLAMA: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": 40, "max_position_embeddings": 64,
}  # fmt: skip


def llama(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA))


class Letters:
    """A text tokenizer of one token a letter."""

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) % 40 for letter in text]}


def made(seed: int = 0) -> tuple[Tokenized, Tensor]:
    """A batch of two rows, the second shorter; and the latents, which ask for a gradient."""
    torch.manual_seed(seed)
    latents = torch.randn(2, 4, 9, requires_grad=True)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    quantizer = VectorQuantizer(VectorQuantizerConfig(dim=4, codebook_size=8)).eval()
    features = torch.randn(2, 9, 6)
    return Tokenized(features, latents, quantizer(latents, mask), quantizer, mask), latents


def references(made: Tokenized) -> References:
    texts = Texts(torch.tensor([1]), torch.tensor([[3, 5]]), torch.tensor([2]))
    return References(phonemes=texts, judge_texts=texts, teacher=torch.randn(2, 9, 5))


def every(cut: bool = False, **options: Any) -> ObjectiveList:
    config = ObjectivesConfig(
        reconstruction=ReaderConfig(**SMALL),
        ctc=CTCConfig(num_symbols=7, **SMALL),
        teacher=TeacherConfig(teacher_dim=5, **SMALL),
        likelihood=LikelihoodConfig(),
        answer=AnswerConfig(),
        commitment=0.5,
        diversity=0.25,
    )
    torch.manual_seed(1)
    judge = FrozenLM(llama(), Letters())
    sizes = {"latent_dim": 4, "feature_dim": 6, "codebook_size": 8}
    return ObjectiveList(config, **sizes, judge=judge, cut=cut, **options)


JUDGES = {"ctc", "teacher", "likelihood", "answer"}
ALL = JUDGES | {"reconstruction", "commitment", "diversity"}


# ---- gradients


def test_every_objective_shapes_the_latents() -> None:
    batch, latents = made()
    objectives = every()
    found = objectives(batch, references(batch))
    assert set(found.losses) == ALL
    for name, loss in found.losses.items():
        (gradient,) = torch.autograd.grad(loss, latents, retain_graph=True)
        assert bool((gradient != 0).any()), name


def test_cut_judges_learn_and_shape_nothing() -> None:
    batch, latents = made()
    objectives = every(cut=True)
    found = objectives(batch, references(batch))
    for name, loss in found.losses.items():
        (gradient,) = torch.autograd.grad(loss, latents, retain_graph=True, allow_unused=True)
        reached = gradient is not None and bool((gradient != 0).any())
        assert reached == (name not in JUDGES), name
    found.total().backward()
    heads = {n: p.grad for n, p in objectives.named_parameters()}
    silent = [name for name, grad in heads.items() if grad is None or not bool((grad != 0).any())]
    assert not silent


def test_what_is_reconstructed_is_not_moved() -> None:
    batch, _ = made()
    batch.features.requires_grad_(True)
    found = every()(batch, references(batch)).losses["reconstruction"]
    (gradient,) = torch.autograd.grad(found, batch.features, allow_unused=True)
    assert gradient is None


def test_the_language_model_stays_as_it_is() -> None:
    model = llama()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    text = torch.randint(40, (3, 12), generator=torch.Generator().manual_seed(0))
    judge = FrozenLM(model)
    nll = float(judge.text_nll(text))
    config = ObjectivesConfig(likelihood=LikelihoodConfig())
    objectives = ObjectiveList(config, latent_dim=4, feature_dim=6, codebook_size=8, judge=judge)
    assert not any("judge" in name for name in objectives.state_dict())
    optimizer = torch.optim.AdamW(objectives.parameters(), lr=0.1)
    for seed in range(3):
        batch, _ = made(seed)
        objectives(batch, References()).total().backward()
        optimizer.step()
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert float(judge.text_nll(text)) == pytest.approx(nll, abs=1e-6)


def test_padding_changes_no_loss() -> None:
    batch, _ = made()
    objectives, given = every().eval(), references(batch)
    one = objectives(batch, given)
    noise = torch.randn(2, 4, 9) * (~batch.mask)[:, None]
    batch.latents = batch.latents + noise
    batch.quantized.latents = batch.quantized.latents + noise
    batch.features = batch.features + (~batch.mask)[..., None] * 9.0
    batch.quantized.codes[1, 0, 5:] = 0
    two = objectives(batch, given)
    for name in ALL:
        torch.testing.assert_close(one.losses[name], two.losses[name], msg=name)


# ---- what each one says


def test_the_likelihood_looks_at_units_before_only() -> None:
    batch, _ = made()
    likelihood: Any = every()["likelihood"]
    scores = likelihood.scores(batch, References())
    changed = batch.quantized.latents.detach().clone()
    changed[:, :, 4] += 3.0
    batch.quantized.latents = changed
    moved = (likelihood.scores(batch, References()) - scores).abs().amax(-1)[0]
    assert bool((moved[:5] < 1e-5).all()) and bool((moved[5:] > 1e-5).all())


def test_the_likelihood_is_the_cross_entropy_of_the_next_unit() -> None:
    batch, _ = made()
    likelihood: Any = every()["likelihood"]
    with torch.no_grad():
        likelihood.head.weight.zero_()
        likelihood.head.bias.copy_(torch.arange(8.0))
    logs = torch.arange(8.0).log_softmax(0)
    expected = -logs[batch.quantized.codes[:, 0][batch.mask]].mean()
    torch.testing.assert_close(likelihood(batch, References()).detach(), expected)


def test_speech_after_text_is_another_sequence() -> None:
    batch, _ = made()
    likelihood: Any = every()["likelihood"]
    given = references(batch)
    alone = likelihood.scores(batch, given)
    likelihood.config = LikelihoodConfig(after_text=True)
    after = likelihood.scores(batch, given)
    torch.testing.assert_close(after[0], alone[0], atol=1e-4, rtol=1e-3)  # this row has no text
    assert not torch.allclose(after[1], alone[1], atol=1e-4)
    given.judge_texts.ids[0, 0] = 40  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match=r"must be below 40.* but reach 40"):
        likelihood.scores(batch, given)


def test_the_answer_sees_the_speech_and_no_padding() -> None:
    batch, _ = made()
    answer, given = every()["answer"], references(batch)
    before = answer(batch, given).detach()
    batch.quantized.latents = batch.quantized.latents.detach().clone()
    batch.quantized.latents[0] += 1.0  # a row without text
    torch.testing.assert_close(answer(batch, given).detach(), before)
    batch.quantized.latents[1, :, 0] += 1.0
    assert not torch.allclose(answer(batch, given).detach(), before)


def test_diversity_by_hand() -> None:
    even = torch.tensor([[[0.5, 0.5]], [[0.5, 0.5]]])
    alone = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    assert float(lacking_entropy(even)) == pytest.approx(0.0, abs=1e-6)
    assert float(lacking_entropy(alone)) == pytest.approx(math.log(2), abs=1e-6)
    assert float(lacking_entropy(torch.stack([alone[0], alone[0].flip(1)]))) == pytest.approx(
        0.0, abs=1e-6
    )


def test_the_sum_is_weighted_by_name_and_count() -> None:
    batch, _ = made()
    found = every()(batch, references(batch))
    losses = found.losses
    texts = losses["ctc"] + losses["answer"]
    frames = losses["reconstruction"] + losses["teacher"] + losses["likelihood"]
    frames = frames + 0.5 * losses["commitment"] + 0.25 * losses["diversity"]
    torch.testing.assert_close(found.total(frames=2.0, texts=3.0), 2 * frames + 3 * texts)


def test_a_random_judge_has_the_shape_and_other_weights(tmp_path: Any) -> None:
    model = llama()
    model.save_pretrained(tmp_path)
    loaded, random, again = (FrozenLM.load(str(tmp_path), random_seed=s) for s in (None, 3, 3))
    for name, weights in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], weights)
        assert torch.equal(random.model.state_dict()[name], again.model.state_dict()[name])
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(random.model.state_dict()[name], model.state_dict()[name])


# ---- mistakes


def test_mistakes_are_told(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="must hold one of reconstruction, ctc"):
        ObjectivesConfig(commitment=1.0)
    with pytest.raises(ConfigError, match="must not be negative"):
        ObjectivesConfig(ctc=CTCConfig(weight=-1.0))
    config = ObjectivesConfig(likelihood=LikelihoodConfig())
    with pytest.raises(ConfigError, match="need a language model"):
        ObjectiveList(config, latent_dim=4, feature_dim=6, codebook_size=8)
    with pytest.raises(MissingResource, match="no causal language model at"):
        FrozenLM.load(str(tmp_path))
    with pytest.raises(ConfigError, match="came without a text tokenizer"):
        FrozenLM(llama()).text_ids("a")


def test_a_model_that_sees_what_follows_is_no_judge() -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**shape, intermediate_size=16, vocab_size=20)
    with pytest.raises(ConfigError, match="must be causal, but 'bert' sees what follows"):
        FrozenLM(transformers.BertForMaskedLM(config))


def test_a_text_tokenizer_of_another_model_is_refused() -> None:
    class TooMany(Letters):
        def __len__(self) -> int:
            return 41

    with pytest.raises(ConfigError, match="has 41 tokens, but its language model 40"):
        FrozenLM(llama(), TooMany())


def test_a_gguf_file_that_is_not_there_is_told(tmp_path: Any) -> None:
    with pytest.raises((MissingResource, EnvironmentProblem), match=r"gguf|no causal"):
        FrozenLM.load(str(tmp_path / "judge.gguf"))
