"""Moshi's net: transformers' number for number, causal over steps and codes, a loss by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.systems.moshi.checkpoint import (
    MOSHI,
    MOSHI_TRANSFORMERS,
    read_config,
    read_transformers_config,
)
from uslm.systems.moshi.model import MoshiConfig, MoshiLM, weighted_loss
from uslm_tokenizer.errors import CheckpointError, ConfigError
from uslm_tokenizer.pretrained.key_mapping import convert, load_pretrained
from uslm_tokenizer.pretrained.mappings import recognise

TABLE = {
    "moshi": "uslm.systems.moshi.checkpoint:MOSHI",
    "moshi_transformers": "uslm.systems.moshi.checkpoint:MOSHI_TRANSFORMERS",
}
KYUTAI = {
    "dim": 4096, "text_card": 32000, "existing_text_padding_id": 3, "n_q": 16, "dep_q": 8,
    "card": 2048, "num_heads": 32, "num_layers": 32, "hidden_scale": 4.125, "context": 3000,
    "depformer_dim": 1024, "depformer_dim_feedforward": 4224, "depformer_num_heads": 16,
    "depformer_num_layers": 6, "delays": [0, 0, *[1] * 7, 0, *[1] * 7],
}  # fmt: skip


def build(**changes: Any) -> MoshiLM:
    torch.manual_seed(0)
    return MoshiLM(replace(MoshiLM.tiny_config(), **changes)).eval()


def frames(model: MoshiLM, t: int, seed: int = 0) -> Tensor:
    sizes = torch.tensor([stream.size for stream in model.config.streams])
    source = torch.Generator().manual_seed(seed)
    return (torch.rand(len(sizes), t, generator=source) * sizes[:, None]).long()


# ---- pretrained weights


@pytest.fixture(scope="module")
def theirs() -> Any:
    from transformers import MoshiConfig as TheirConfig
    from transformers import MoshiForConditionalGeneration

    from uslm_tokenizer.codecs.transformers.model import Mimi

    torch.manual_seed(0)
    config = TheirConfig(
        vocab_size=20, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        sliding_window=40, ffn_dim=96, num_codebooks=3,
        audio_encoder_config=dict(Mimi.tiny_config().backbone),
        depth_decoder_config={
            "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 48,
        },
    )  # fmt: skip
    model = MoshiForConditionalGeneration(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif parameter.ndim == 3:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def ours_of(theirs: Any) -> MoshiLM:
    state = theirs.state_dict()
    assert recognise(state, TABLE) == ["moshi_transformers"]
    config = read_transformers_config(theirs.config.to_dict())
    model = load_pretrained(MOSHI_TRANSFORMERS, state, config)
    assert isinstance(model, MoshiLM)
    return model


def test_it_is_transformers_number_for_number(theirs: Any) -> None:
    ours = ours_of(theirs)
    tokens = torch.stack([frames(ours, 9, seed) for seed in range(2)])
    with torch.no_grad():
        made = theirs(
            input_ids=tokens[:, 0],
            moshi_audio_codes=tokens[:, 1:4],
            user_audio_codes=tokens[:, 4:],
        )
        state = ours.states(tokens)
        torch.testing.assert_close(state, made.last_hidden_state, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(ours.to_text(state), made.logits, atol=1e-5, rtol=1e-4)
        columns = tokens.transpose(1, 2).flatten(0, 1)
        deep = theirs.depth_decoder(
            input_ids=columns[:, :3], last_hidden_state=made.last_hidden_state.view(-1, 1, 32)
        )
        found = ours.code_logits(made.last_hidden_state, tokens).flatten(0, 1)
    torch.testing.assert_close(found, deep.logits, atol=1e-5, rtol=1e-4)


def kyutais(model: MoshiLM) -> dict[str, Tensor]:
    """A model of ours under the names of Kyutai's file, built from what its code does."""
    config, state = model.config, model.state_dict()
    names = {
        "text_embedding.weight": "text_emb.weight",
        "to_text.weight": "text_linear.weight",
        "depth.first_embedding.weight": "depformer_text_emb.weight",
    }
    out = {theirs: state.pop(ours) for ours, theirs in names.items()}
    out["out_norm.alpha"] = state.pop("transformer.norm.weight")[None, None]
    for name, tensor in state.items():
        part = name.split(".")
        if name.startswith("code_embeddings"):
            out[f"emb.{part[1]}.weight"] = tensor
        elif name.startswith("depth.code_embeddings"):
            out[f"depformer_emb.{part[2]}.weight"] = tensor
        elif name in ("depth.from_state.weight", "depth.to_logits.weight"):
            theirs = "depformer_in" if "from_state" in name else "linears"
            out |= {f"{theirs}.{k}.weight": each for k, each in enumerate(tensor)}
        else:
            deep = part[0] == "depth"
            layer = f"{'depformer' if deep else 'transformer'}.layers.{part[3 if deep else 2]}"
            leaf = ".".join(part[4 if deep else 3 :])
            if leaf in ("attention_norm.weight", "feed_forward_norm.weight"):
                number = 1 if leaf.startswith("attention") else 2
                out[f"{layer}.norm{number}.alpha"] = tensor[None, None]
            elif leaf in ("qkv.weight", "attention.qkv.weight"):
                flat = tensor.flatten(0, 1) if deep else _interleaved(tensor, config.num_heads)
                out[f"{layer}.self_attn.in_proj_weight"] = flat
            elif leaf in ("out.weight", "attention.out.weight"):
                flat = tensor.flatten(0, 1) if deep else tensor
                out[f"{layer}.self_attn.out_proj.weight"] = flat
            else:
                side = "linear_in" if "up" in leaf else "linear_out"
                if deep:
                    out |= {f"{layer}.gating.{k}.{side}.weight": w for k, w in enumerate(tensor)}
                else:
                    out[f"{layer}.gating.{side}.weight"] = tensor
    return out


def _interleaved(weight: Tensor, num_heads: int) -> Tensor:
    """Queries and keys whose halves of a head become neighbours."""
    q, k, v = weight.chunk(3)
    q, k = (
        torch.stack(part.view(num_heads, 2, -1, part.shape[1]).unbind(1), 2).flatten(0, 2)
        for part in (q, k)
    )
    return torch.cat([q, k, v])


def test_kyutais_names_become_ours() -> None:
    model = build()
    state = kyutais(model)
    assert recognise(state, TABLE) == ["moshi"]
    loaded = load_pretrained(MOSHI, state, model.config)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    with pytest.raises(CheckpointError, match="lacks"):
        convert(MOSHI, {n: t for n, t in state.items() if n != "linears.1.weight"}, model.config)


def test_neighbouring_pairs_turn_as_halves_do() -> None:
    """Kyutai's attention turns neighbours by one angle; on its rows, ours must do the same."""
    rows = torch.arange(2 * 3 * 8.0)[:, None].expand(-1, 5)
    [rule] = [rule for rule in MOSHI.rules(MoshiConfig(num_heads=2)) if "alpha" not in rule.pattern
              and "transformer" in rule.pattern and "in_proj" in rule.pattern]  # fmt: skip
    assert rule.change(rows)[:8, 0].tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert torch.equal(rule.change(rows)[32:], rows[32:])


def test_the_published_config_is_the_default() -> None:
    assert read_config(KYUTAI) == MoshiConfig()
    with pytest.raises(ConfigError, match="conditioners of a Moshi must not be set"):
        read_config(KYUTAI | {"conditioners": {"speaker": {}}})
    with pytest.raises(ConfigError, match="delays of a Moshi must be like"):
        read_config(KYUTAI | {"delays": [0, 0, *[2] * 7, 0, *[1] * 7]})


# ---- the net


def test_a_step_is_scored_by_earlier_steps_and_earlier_codes_alone() -> None:
    model = build()
    tokens = frames(model, 8)[None]
    with torch.no_grad():
        before = model(tokens)
        for k, stream in enumerate(model.config.streams):
            other = tokens.clone()
            other[0, k, 4] = (other[0, k, 4] + 1) % stream.size
            after = model(other)
            assert torch.equal(before.text[:, :5], after.text[:, :5])
            assert not torch.equal(before.text[:, 5], after.text[:, 5])
            assert torch.equal(before.codes[:, :4], after.codes[:, :4])
            changed = (before.codes[0, 4] != after.codes[0, 4]).any(dim=-1).tolist()
            wanted = [k <= place for place in range(3)] if k <= 3 else [False] * 3
            assert changed == wanted, stream.name


def test_the_loss_is_what_is_counted_by_hand() -> None:
    """Text: a mean of its own; codes: a mean in which the first codebook counts a hundred."""
    model = build(semantic_weight=100.0, padding_weight=0.5, num_user_codebooks=1)
    row = frames(model, 3)
    row[0] = torch.tensor([model.config.pad_id, 7, 9])
    grid = model.batch([row])
    assert grid.tokens.shape == (1, 5, 4)  # a step longer, by the acoustic delay
    with torch.no_grad():
        logits = model(grid.tokens)
        text = logits.text[0].log_softmax(-1)
        codes = logits.codes[0].log_softmax(-1)
        total = 0.5 * -text[0, row[0, 0]] - text[1, row[0, 1]] - text[2, row[0, 2]]
        wanted_text = total / 2.5
        total = sum(-100 * codes[t, 0, row[1, t]] for t in range(3))
        total += sum(-codes[t + 1, k, row[1 + k, t]] for t in range(3) for k in (1, 2))
        parts = model.loss_parts(grid)
    torch.testing.assert_close(parts["text"], wanted_text)
    torch.testing.assert_close(parts["codes"], total / 306)
    torch.testing.assert_close(model.loss(grid), wanted_text + total / 306)


def test_of_two_equal_choices_a_loss_is_log_2() -> None:
    found = weighted_loss(torch.zeros(3, 2), torch.tensor([0, 1, 5]), torch.tensor([1.0, 3, 0]))
    assert float(found) == pytest.approx(math.log(2))


def test_rows_of_unequal_length_and_the_user_count_nothing_more() -> None:
    model = build()
    short, long = frames(model, 4, 1), frames(model, 7, 2)
    grid = model.batch([short, long])
    alone = model.batch([short])
    assert not bool(grid.weights[:, 4:].any())
    assert torch.equal(grid.weights[0, :, :5], alone.weights[0])
    assert not bool(grid.weights[0, :, 5:].any())
    with torch.no_grad():
        torch.testing.assert_close(model(grid.tokens).codes[0, :5], model(alone.tokens).codes[0])


def test_the_loss_falls_on_four_utterances() -> None:
    model = build().train()
    grid = model.batch([frames(model, 6, seed) for seed in range(4)])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = model.loss(grid)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 3
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name


def test_wrong_configs_are_named() -> None:
    tiny = MoshiLM.tiny_config()
    with pytest.raises(ConfigError, match="must be above 0, but both are 0"):
        replace(tiny, num_codebooks=0, num_user_codebooks=0)
    with pytest.raises(ConfigError, match="pad_id must be a text token, from 0 to 19, but is 20"):
        replace(tiny, pad_id=20)
    with pytest.raises(ConfigError, match="must differ, but both are 3"):
        replace(tiny, end_pad_id=3)
