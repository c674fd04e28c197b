"""Vevo's language model computes what transformers' LLaMA computes with the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from uslm.systems.vevo.checkpoint import VEVO_FLOW, VEVO_LM
from uslm.systems.vevo.lm import VevoLM
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.key_mapping import load_pretrained

PRETRAINED = {
    "input_vocab_size": 24,
    "output_vocab_size": 40,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "use_global_style_encoder": False,
}


@pytest.fixture(scope="module")
def reference() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {k: v for k, v in PRETRAINED.items() if k.startswith(("hidden", "inter", "num"))}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=24 + 40 + 20, **sizes)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(scope="module")
def model(reference: Any) -> VevoLM:
    state = {f"model.{name}": tensor for name, tensor in reference.state_dict().items()}
    state["model.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(6)  # as once saved
    loaded = load_pretrained(VEVO_LM, state, VEVO_LM.read_config(PRETRAINED))
    assert isinstance(loaded, VevoLM)
    return loaded


@torch.no_grad()
def test_logits_equal_those_of_transformers(model: VevoLM, reference: Any) -> None:
    tokens = torch.randint(84, (2, 11), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(tokens), reference(tokens).logits, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_prompt_is_read_as_the_pretrained_code_reads_it(model: VevoLM, reference: Any) -> None:
    symbols, units = [3, 0, 23], [39, 7]
    marks = 24 + 40
    row = [marks + 1, *(40 + symbol for symbol in symbols), marks + 2, marks + 3, *units]
    logits = reference(torch.tensor([row])).logits[0, -1]
    wanted = torch.cat([logits[:40], logits[marks + 4, None]])
    cache = model.new_cache(1, 32)
    made = model.prefill([torch.tensor(symbols)], [torch.tensor(units)], cache)
    torch.testing.assert_close(made[0], wanted, atol=1e-4, rtol=1e-4)


def test_the_loss_is_that_of_transformers_over_what_is_spoken(
    model: VevoLM, reference: Any
) -> None:
    batch = model.batch([torch.arange(4), torch.arange(6)], [torch.arange(9), torch.arange(5)])
    with torch.no_grad():
        logits = reference(batch.tokens).logits
        wanted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        torch.testing.assert_close(model.loss(batch), wanted, atol=1e-4, rtol=1e-4)
    # The five marks: padding, begin, end of the text, start and stop of the units.
    first = batch.targets[0][batch.targets[0] >= 0].tolist()
    assert first == [24 + 40 + 3, *range(9), 24 + 40 + 4]


def test_what_was_never_pretrained_is_refused() -> None:
    with pytest.raises(ConfigError, match="use_global_style_encoder must be False"):
        VEVO_LM.read_config(PRETRAINED | {"use_global_style_encoder": True})
    with pytest.raises(ConfigError, match="cond_scale_factor must be 1"):
        VEVO_FLOW.read_config({"use_cond_code": False, "cond_scale_factor": 2})
