"""Vevo with random weights, built in milliseconds: what tests and examples speak with."""

from dataclasses import replace
from pathlib import Path

import torch

from uslm.generate.length import LengthConfig
from uslm.synthesis.plan import PlanConfig
from uslm.systems.model_parts import Parts
from uslm.systems.tiny_folder import save_parts, save_signs
from uslm.systems.vevo.flow import FlowSteps
from uslm.systems.vevo.flow_matching import FlowMatching
from uslm.systems.vevo.lm import VevoLM
from uslm.systems.vevo.pipeline import Vevo
from uslm.systems.vevo.settings import VevoSettings
from uslm.text.vocab import PhonemeVocab
from uslm_tokenizer.codecs.repcodec.model import RepCodec
from uslm_tokenizer.codecs.ssl_units.model import SSLUnits, SSLUnitsConfig
from uslm_tokenizer.codecs.vevo_content.model import VevoContentTokenizer
from uslm_tokenizer.codecs.vevo_vocoder.model import VevoVocoder
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.ssl.encoder import SSLConfig
from uslm_tokenizer.ssl.tiny_backbones import TINY_HUBERT

HUBERT: dict[str, object] = {
    **TINY_HUBERT,
    "num_hidden_layers": 3,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
SETTINGS = VevoSettings(
    name="tiny vevo",
    flow=FlowSteps(steps=2),
    length=LengthConfig(max_frames_per_symbol=1.5, margin_frames=5),
    plan=PlanConfig(max_chars=40),
    prompt_seconds=3.0,
)
"""It never knows when to end, so it is stopped early."""


def tiny_parts(*, seed: int = 0, converts: bool = True) -> dict[str, PretrainedModel]:
    """Every part; without those that imitate a manner unless it `converts`."""
    encoder = SSLConfig(backbone=HUBERT, layers=(2,), padding="none")
    lm = VevoLM.tiny_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: dict[str, PretrainedModel] = {
            "style": SSLUnits(SSLUnitsConfig(encoder=encoder, codec=RepCodec.tiny_config())),
            "phone_lm": VevoLM(lm),
            "flow": FlowMatching(FlowMatching.tiny_config()),
            "vocoder": VevoVocoder(VevoVocoder.tiny_config()),
        }
        if converts:
            parts["content"] = content = VevoContentTokenizer(VevoContentTokenizer.tiny_config())
            size = lm.text_vocab_size + content.codebook_size
            parts["content_lm"] = VevoLM(replace(lm, text_vocab_size=size))
    return {name: part.eval() for name, part in parts.items()}


def tiny_vevo(*, seed: int = 0, converts: bool = True, settings: VevoSettings = SETTINGS) -> Vevo:
    """It babbles."""
    return Vevo(Parts(tiny_parts(seed=seed, converts=converts)), PhonemeVocab(), settings)


def save_tiny_vevo(folder: Path, *, seed: int = 0) -> Path:
    """The folder that a conversion would have written, but with a table of single signs."""
    save_parts("vevo", tiny_parts(seed=seed), folder)
    save_signs(folder)
    return folder
