"""VoxCPM's network: what is published, number for number; what it sees, and what it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from uslm.systems.catalogue import KEY_MAPPINGS
from uslm.systems.voxcpm.checkpoint import VOXCPM, read_config
from uslm.systems.voxcpm.generation import PatchSteps, begin, next_patch, take
from uslm.systems.voxcpm.model import VoxBatch, VoxCPM, VoxCPMConfig
from uslm_tokenizer.errors import CheckpointError, ConfigError, MissingResource, UserError
from uslm_tokenizer.pretrained.key_mapping import convert, load_pretrained
from uslm_tokenizer.pretrained.mappings import recognise

SMALL: dict[str, Any] = {
    "lm_config": {
        "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 512,
        "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "vocab_size": 120, "use_mup": False, "scale_emb": 12,
        "dim_model_base": 256, "scale_depth": 1.4, "rope_theta": 10000.0,
        "bos_token_id": 1, "eos_token_id": 2,
        "rope_scaling": {
            "type": "longrope", "short_factor": [1.0, 1.2, 1.5, 2.0],
            "long_factor": [1.1, 1.4, 2.0, 3.0], "original_max_position_embeddings": 512,
        },
    },
    "patch_size": 2, "feat_dim": 6, "residual_lm_num_layers": 2,
    "scalar_quantization_latent_dim": 8, "scalar_quantization_scale": 9,
    "encoder_config": {"hidden_dim": 16, "ffn_dim": 40, "num_heads": 2, "num_layers": 2},
    "dit_config": {
        "hidden_dim": 16, "ffn_dim": 40, "num_heads": 2, "num_layers": 2,
        "cfm_config": {"training_cfg_rate": 0.1, "inference_cfg_rate": 2.0},
    },
    "max_length": 512, "dtype": "bfloat16",
}  # fmt: skip


class Published:
    """The published network from its description: shapes by published names, and what is computed
    of them, one plain operation after the other."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config, lm = config, config["lm_config"]
        self.shapes: dict[str, tuple[int, ...]] = {}
        dim, width = lm["hidden_size"], config["feat_dim"]
        encoder, dit = config["encoder_config"], config["dit_config"]
        self.shapes["base_lm.embed_tokens.weight"] = (lm["vocab_size"], dim)
        sizes = (dim, lm["intermediate_size"], lm["num_attention_heads"])
        self._body("base_lm", *sizes, lm["num_hidden_layers"])
        self._body("residual_lm", *sizes, config["residual_lm_num_layers"])
        for name, part in (("feat_encoder.encoder", encoder),
                           ("feat_decoder.estimator.decoder", dit)):  # fmt: skip
            sizes = (part["hidden_dim"], part["ffn_dim"], part["num_heads"])
            self._body(name, *sizes, part["num_layers"])
        inner, wide = encoder["hidden_dim"], dit["hidden_dim"]
        self.shapes["feat_encoder.special_token"] = (1, 1, 1, inner)
        self._linear("feat_encoder.in_proj", width, inner)
        for name in ("in_proj", "cond_proj"):
            self._linear(f"feat_decoder.estimator.{name}", width, wide)
        self._linear("feat_decoder.estimator.out_proj", wide, width)
        for name in ("time_mlp", "delta_time_mlp"):
            for layer in (1, 2):
                self._linear(f"feat_decoder.estimator.{name}.linear_{layer}", wide, wide)
        middle = config["scalar_quantization_latent_dim"]
        self._linear("fsq_layer.in_proj", dim, middle)
        self._linear("fsq_layer.out_proj", middle, dim)
        self._linear("enc_to_lm_proj", inner, dim)
        self._linear("lm_to_dit_proj", dim, wide)
        self._linear("res_to_dit_proj", dim, wide)
        self._linear("stop_proj", dim, dim)
        self.shapes["stop_head.weight"] = (2, dim)

    def _linear(self, name: str, in_dim: int, out_dim: int) -> None:
        self.shapes[f"{name}.weight"], self.shapes[f"{name}.bias"] = (out_dim, in_dim), (out_dim,)

    def _body(self, name: str, dim: int, hidden: int, heads: int, layers: int) -> None:
        few = dim // heads * self.config["lm_config"]["num_key_value_heads"]
        for i in range(layers):
            layer = f"{name}.layers.{i}"
            for part, out in (("q", dim), ("k", few), ("v", few), ("o", dim)):
                self.shapes[f"{layer}.self_attn.{part}_proj.weight"] = (out, dim)
            self.shapes[f"{layer}.mlp.gate_proj.weight"] = (hidden, dim)
            self.shapes[f"{layer}.mlp.up_proj.weight"] = (hidden, dim)
            self.shapes[f"{layer}.mlp.down_proj.weight"] = (dim, hidden)
            for norm in ("input_layernorm", "post_attention_layernorm"):
                self.shapes[f"{layer}.{norm}.weight"] = (dim,)
        self.shapes[f"{name}.norm.weight"] = (dim,)

    def state(self, device: str = "cpu") -> dict[str, Tensor]:
        if device == "meta":
            return {name: torch.empty(shape, device=device) for name, shape in self.shapes.items()}
        draw = torch.Generator().manual_seed(0)
        return {
            name: 0.25 * torch.randn(shape, generator=draw) + ("norm" in name)
            for name, shape in self.shapes.items()
        }

    # what it computes

    def body(self, s: dict[str, Tensor], name: str, x: Tensor, heads: int, causal: bool) -> Tensor:
        lm = self.config["lm_config"]
        few, width = lm["num_key_value_heads"], x.shape[-1] // heads
        rope = lm["rope_scaling"]
        factors = torch.tensor(rope["short_factor"][: width // 2])
        turn = torch.arange(x.shape[1])[:, None] / (
            lm["rope_theta"] ** (torch.arange(0, width, 2) / width) * factors
        )
        cos, sin = (torch.cat([f(turn)] * 2, dim=-1) for f in (torch.cos, torch.sin))

        def turned(y: Tensor) -> Tensor:
            first, second = y.chunk(2, dim=-1)
            return y * cos + torch.cat([-second, first], dim=-1) * sin

        def norm(y: Tensor, weight: str) -> Tensor:
            return y * (y.square().mean(-1, keepdim=True) + lm["rms_norm_eps"]).rsqrt() * s[weight]

        def split(y: Tensor, count: int) -> Tensor:
            return y.unflatten(-1, (count, width)).transpose(1, 2)

        layer = 0
        while f"{name}.layers.{layer}.mlp.up_proj.weight" in s:
            at = f"{name}.layers.{layer}"
            y = norm(x, f"{at}.input_layernorm.weight")
            q, k, v = (y @ s[f"{at}.self_attn.{part}_proj.weight"].T for part in "qkv")
            q, k, v = turned(split(q, heads)), turned(split(k, few)), split(v, few)
            k, v = (part.repeat_interleave(heads // few, dim=1) for part in (k, v))
            scores = q @ k.transpose(-1, -2) / math.sqrt(width)
            if causal:
                future = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
                scores = scores.masked_fill(future, float("-inf"))
            mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
            x = x + mixed @ s[f"{at}.self_attn.o_proj.weight"].T
            y = norm(x, f"{at}.post_attention_layernorm.weight")
            gate, up = (y @ s[f"{at}.mlp.{part}_proj.weight"].T for part in ("gate", "up"))
            x = x + (F.silu(gate) * up) @ s[f"{at}.mlp.down_proj.weight"].T
            layer += 1
        return norm(x, f"{name}.norm.weight")

    def linear(self, s: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
        return F.linear(x, s[f"{name}.weight"], s[f"{name}.bias"])

    def patches(self, s: dict[str, Tensor], patches: Tensor) -> Tensor:
        x = self.linear(s, "feat_encoder.in_proj", patches)
        x = torch.cat([s["feat_encoder.special_token"][0].expand(len(x), 1, -1), x], dim=1)
        heads = self.config["encoder_config"]["num_heads"]
        x = self.body(s, "feat_encoder.encoder", x, heads, causal=False)[:, 0]
        return self.linear(s, "enc_to_lm_proj", x)

    def hidden(self, s: dict[str, Tensor], text: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Semantic and residual state of each position of one row."""
        heads = self.config["lm_config"]["num_attention_heads"]
        words = s["base_lm.embed_tokens.weight"][torch.cat([text, torch.tensor([101])])]
        speech = self.patches(s, patches)
        raw = self.body(s, "base_lm", torch.cat([words, speech])[None], heads, causal=True)[0]
        scale = self.config["scalar_quantization_scale"]
        grid = (self.linear(s, "fsq_layer.in_proj", raw[len(words) :]).tanh() * scale).round()
        through = self.linear(s, "fsq_layer.out_proj", grid / scale)
        semantic = torch.cat([raw[: len(words)], through])
        x = semantic + torch.cat([torch.zeros_like(words), speech])
        return semantic, self.body(s, "residual_lm", x[None], heads, causal=True)[0]

    def velocity(
        self, s: dict[str, Tensor], x: Tensor, mu: Tensor, t: Tensor, previous: Tensor
    ) -> Tensor:
        """Towards the noise; t is 1 there."""
        name = "feat_decoder.estimator"

        def embedded(part: str, time: Tensor) -> Tensor:
            dim = mu.shape[-1]
            rates = (torch.arange(dim // 2) * -(math.log(10_000) / (dim // 2 - 1))).exp()
            waves = 1000 * time[:, None] * rates
            y = torch.cat([waves.sin(), waves.cos()], dim=-1)
            y = F.silu(self.linear(s, f"{name}.{part}.linear_1", y))
            return self.linear(s, f"{name}.{part}.linear_2", y)

        time = embedded("time_mlp", t) + embedded("delta_time_mlp", 0 * t)
        before = self.linear(s, f"{name}.cond_proj", previous)
        y = torch.cat([(mu + time)[:, None], before, self.linear(s, f"{name}.in_proj", x)], dim=1)
        heads = self.config["dit_config"]["num_heads"]
        y = self.body(s, f"{name}.decoder", y, heads, causal=False)[:, 1 + previous.shape[1] :]
        return self.linear(s, f"{name}.out_proj", y)

    def patch(
        self, s: dict[str, Tensor], x: Tensor, mu: Tensor, previous: Tensor, steps: int, cfg: float
    ) -> Tensor:
        """Euler from t = 1 to 0, swayed by 1; the first steps stand still; CFG-Zero*."""
        t = torch.linspace(1, 0, steps + 1)
        t = t + (torch.cos(torch.pi / 2 * t) - 1 + t)
        for step in range(steps):
            if step < max(1, int((steps + 1) * 0.04)):
                continue
            given = self.velocity(s, x, mu, t[step : step + 1], previous)
            free = self.velocity(s, x, 0 * mu, t[step : step + 1], previous)
            share = (given * free).sum() / free.square().sum()
            x = x - (t[step] - t[step + 1]) * (share * free + cfg * (given - share * free))
        return x


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def published() -> tuple[Published, dict[str, Tensor], VoxCPM]:
    reference = Published(SMALL)
    state = reference.state()
    model = load_pretrained(VOXCPM, dict(state), read_config(SMALL))
    assert isinstance(model, VoxCPM)
    return reference, state, model


def test_the_language_models_are_the_published_ones(
    published: tuple[Published, dict[str, Tensor], VoxCPM],
) -> None:
    reference, state, model = published
    text, speech = torch.arange(7) + 20, drawn(5, 2, 6)
    semantic, residual = reference.hidden(state, text, speech)
    found = begin(model, text, speech)
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(found.semantic[0], semantic[-1], **close)
    torch.testing.assert_close(found.residual[0], residual[-1], **close)
    whole = model.hidden(model.batch([text], [speech]))
    torch.testing.assert_close(whole.semantic[0], semantic, **close)
    torch.testing.assert_close(whole.residual[0], residual, **close)
    assert float(semantic.std()) > 0.1 and float(residual.std()) > 0.1


@pytest.mark.parametrize(("steps", "guidance"), [(10, 2.0), (4, 1.5), (60, 1.0)])
def test_a_patch_is_made_as_published(
    published: tuple[Published, dict[str, Tensor], VoxCPM],
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    guidance: float,
) -> None:
    reference, state, model = published
    speech, noise = drawn(3, 2, 6), drawn(1, 2, 6, seed=5)
    row = begin(model, torch.arange(4) + 30, speech)
    mu = reference.linear(state, "lm_to_dit_proj", row.semantic)
    mu = mu + reference.linear(state, "res_to_dit_proj", row.residual)
    wanted = reference.patch(state, noise, mu, speech[-1:], steps, guidance)
    how = PatchSteps(steps=steps, guidance=guidance)
    source = torch.Generator().manual_seed(5)
    found = next_patch(model, row, how, source)
    assert float((wanted - noise).abs().mean()) > 0.1
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)
    stop = F.linear(F.silu(reference.linear(state, "stop_proj", row.semantic)),
                    state["stop_head.weight"])  # fmt: skip
    torch.testing.assert_close(model.to_stop(row.semantic), stop, atol=1e-5, rtol=1e-5)


def full_config() -> dict[str, Any]:
    """VoxCPM-0.5B's config.json, but for the values of its rotary factors."""
    factors = [1.0 + i / 10 for i in range(32)]
    lm = SMALL["lm_config"] | {
        "hidden_size": 1024, "intermediate_size": 4096, "max_position_embeddings": 32768,
        "num_attention_heads": 16, "num_hidden_layers": 24, "num_key_value_heads": 2,
        "vocab_size": 73448,
        "rope_scaling": {
            "type": "longrope", "short_factor": factors, "long_factor": factors,
            "original_max_position_embeddings": 32768,
        },
    }  # fmt: skip
    local = {"hidden_dim": 1024, "ffn_dim": 4096, "num_heads": 16, "num_layers": 4}
    return SMALL | {
        "lm_config": lm, "feat_dim": 64, "residual_lm_num_layers": 6,
        "scalar_quantization_latent_dim": 256, "encoder_config": local,
        "dit_config": local | {"cfm_config": SMALL["dit_config"]["cfm_config"]},
    }  # fmt: skip


def test_the_published_checkpoint_is_accounted_for_at_its_full_size() -> None:
    reference = Published(full_config())
    state = reference.state("meta")
    assert recognise(state, KEY_MAPPINGS) == ["voxcpm"]
    config = read_config(full_config())
    usual = VoxCPMConfig()
    stacks = (config.residual, config.encoder, config.decoder)
    plain = [replace(stack, rope_factors=()) for stack in stacks]
    assert plain == [usual.residual, usual.encoder, usual.decoder]
    assert (config.bottleneck_dim, config.bottleneck_scale, config.patch_size) == (256, 9, 2)
    converted = convert(VOXCPM, state, config)
    assert {*converted.used, *converted.ignored} == set(state)
    assert {name.split(".")[2] for name in converted.ignored} == {"delta_time_mlp"}
    millions = sum(math.prod(shape) for shape in reference.shapes.values()) / 1e6
    assert 550 < millions < 750  # "0.5B" counts without the embeddings
    lacking = {name: tensor for name, tensor in state.items() if name != "stop_head.weight"}
    with pytest.raises(CheckpointError, match=r"lacks 1 tensor \(to_stop.2.weight\)"):
        convert(VOXCPM, lacking, config)


@pytest.mark.parametrize(
    ("part", "key", "value", "said"),
    [
        ("lm_config", "use_mup", True, "use_mup of a VoxCPM must be False"),
        ("encoder_config", "kv_channels", 64, "encoder_config.kv_channels .* must be null"),
        ("lm_config", "rope_theta", 1e6, "rope_theta of a VoxCPM must be 10000"),
    ],
)
def test_what_was_never_published_is_refused(part: str, key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_config(SMALL | {part: SMALL[part] | {key: value}})


# ---- what it sees


@pytest.fixture(scope="module")
def model() -> VoxCPM:
    torch.manual_seed(0)
    found = VoxCPM(VoxCPM.tiny_config()).eval()
    for parameter in found.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return found


def row(model: VoxCPM, seed: int = 0, count: int = 9) -> VoxBatch:
    return model.batch([torch.arange(5) + 1], [drawn(count, 2, 6, seed=seed)])


@pytest.mark.parametrize("t", [1, 4, 8])
def test_a_condition_depends_on_nothing_that_follows(model: VoxCPM, t: int) -> None:
    """Latents from patch t on leave the conditions of patches up to t as they are, bit for bit."""
    one, two = row(model), row(model)
    start = int(two.is_patch[0].int().argmax())
    two.patches[0, start + t :] += 1
    before, after = model(one), model(two)
    assert torch.equal(before[: t + 1], after[: t + 1])
    if t < 8:
        assert not torch.isclose(before[t + 1 :], after[t + 1 :]).all()


def test_a_row_of_a_batch_is_the_row_alone(model: VoxCPM) -> None:
    texts, speech = [torch.arange(3), torch.arange(8)], [drawn(7, 2, 6), drawn(4, 2, 6, seed=3)]
    together = model(model.batch(texts, speech)).split([7, 4])
    for text, patches, found in zip(texts, speech, together, strict=True):
        alone = model(model.batch([text], [patches]))
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


def test_patch_by_patch_equals_one_pass(model: VoxCPM) -> None:
    speech, text = drawn(9, 2, 6), torch.arange(5) + 1
    wanted = model(model.batch([text], [speech]))
    state = begin(model, text, speech[:3])
    for place in range(3, 9):
        found = model.condition(state.semantic, state.residual)[0]
        torch.testing.assert_close(found, wanted[place], atol=1e-4, rtol=1e-4)
        take(model, state, speech[place : place + 1])
    alone = begin(model, text)
    found = model.condition(alone.semantic, alone.residual)[0]
    torch.testing.assert_close(found, wanted[0], atol=1e-4, rtol=1e-4)


def test_training_and_use_see_the_same(model: VoxCPM) -> None:
    used = model(row(model))
    torch.testing.assert_close(model.train()(row(model)), used)
    model.eval()


def test_everything_that_is_read_makes_a_difference(model: VoxCPM) -> None:
    how, text, speech = PatchSteps(steps=3), torch.arange(5) + 1, drawn(6, 2, 6)

    def made(text: Tensor, speech: Tensor, how: PatchSteps) -> Tensor:
        return next_patch(model, begin(model, text, speech), how, torch.Generator().manual_seed(0))

    usual = made(text, speech, how)
    assert torch.equal(usual, made(text, speech, how))
    earlier = speech.clone()
    earlier[0] += 1
    for other in (
        made(text.flip(0), speech, how),
        made(text, earlier, how),
        made(text, speech, replace(how, guidance=1.0)),
        made(text, speech, replace(how, sway=0.0)),
        made(text, speech, replace(how, solver="midpoint")),
        made(text, speech, replace(how, temperature=0.5)),
    ):
        assert not torch.allclose(usual, other, atol=1e-5)


def test_four_utterances_are_learnt_by_heart() -> None:
    torch.manual_seed(0)
    model = VoxCPM(VoxCPM.tiny_config()).train()
    batch = model.batch(
        [torch.arange(4) + 5 * i for i in range(4)], [drawn(6 + i, 2, 6, seed=i) for i in range(4)]
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    draw, flow, stop = torch.Generator().manual_seed(0), [], []
    for _ in range(120):
        optimizer.zero_grad()
        losses = model.losses(batch, draw)
        losses.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        flow.append(float(losses.flow.detach()))
        stop.append(float(losses.stop.detach()))
    assert sum(flow[-10:]) < 0.7 * sum(flow[:10])
    assert stop[-1] < stop[0] / 4


def test_the_loss_of_who_knows_the_way_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The direction leads from noise to data, in the mix that the decoder is shown."""
    torch.manual_seed(0)
    model = VoxCPM(VoxCPM.tiny_config())
    batch = row(model, count=30)
    target = batch.patches[batch.is_patch]

    def knows(x: Tensor, place: Tensor, condition: Tensor, previous: Tensor) -> Tensor:
        assert bool((condition.abs().sum(1) == 0).any())  # some go without
        return (target - x) / (1 - place)[:, None, None]

    monkeypatch.setattr(model.decoder, "forward", knows)
    found = model.losses(batch, torch.Generator().manual_seed(1))
    assert float(found.flow.detach()) < 1e-6


# ---- what it begins from


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_it_begins_from_any_causal_language_model(kind: str, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    shapes = {
        "llama": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                  "num_attention_heads": 2, "num_key_value_heads": 1},
        "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128},
    }  # fmt: skip
    torch.manual_seed(0)
    ids = {"vocab_size": 70, "bos_token_id": 1, "eos_token_id": 2}
    lm = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shapes[kind], **ids))
    lm.save_pretrained(tmp_path / "lm")
    tiny = replace(VoxCPM.tiny_config(), start_id=69)
    model = VoxCPM.from_causal_lm(str(tmp_path / "lm"), tiny).eval()
    ids_read = torch.arange(9)[None]
    with torch.no_grad():
        wanted = lm.eval().base_model(ids_read).last_hidden_state
        raw = model.hidden(model.batch([torch.arange(9)], [drawn(2, 2, 6)])).raw
    torch.testing.assert_close(raw[:, :9], wanted, atol=1e-5, rtol=1e-5)
    model.save_pretrained(tmp_path / "vox")
    again = VoxCPM.from_pretrained(tmp_path / "vox")
    batch = model.batch([torch.arange(9)], [drawn(2, 2, 6)])
    assert torch.equal(again(batch), model(batch))


def test_what_does_not_fit_is_named(model: VoxCPM, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"patches must be \[n, 2, 6\]: 2 frames of a codec of 6"):
        begin(model, torch.arange(3), drawn(4, 2, 5))
    with pytest.raises(UserError, match="text ids must be below 64, but reach 80"):
        begin(model, torch.tensor([80]))
    with pytest.raises(UserError, match="steps must be 1 or more, but is 0"):
        PatchSteps(steps=0)
    with pytest.raises(UserError, match="steps must be above 1, the first in which nothing moves"):
        PatchSteps(steps=1)
    alone = VoxCPM(replace(model.config, drop_rate=0.0)).eval()
    with pytest.raises(UserError, match="guidance scale must be 1 for a model without a null"):
        next_patch(alone, begin(alone, torch.arange(3)), PatchSteps(steps=3), torch.Generator())
    how = PatchSteps(steps=3, guidance=1.0)
    next_patch(alone, begin(alone, torch.arange(3)), how, torch.Generator())
    tiny = VoxCPM.tiny_config()
    with pytest.raises(ConfigError, match="must be 32, as wide as the language model"):
        VoxCPM(replace(tiny, residual=replace(tiny.residual, dim=64)))
    with pytest.raises(ConfigError, match="start_id must be below 64"):
        VoxCPM(replace(tiny, start_id=64))
    with pytest.raises(ConfigError, match="model_type"):
        VoxCPM(replace(tiny, lm={"vocab_size": 3}))
    with pytest.raises(MissingResource, match="no causal language model at"):
        VoxCPM.from_causal_lm(str(tmp_path / "nothing"), tiny)
