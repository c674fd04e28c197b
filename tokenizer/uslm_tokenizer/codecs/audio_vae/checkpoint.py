"""AudioVAE's checkpoint, `audiovae.pth` of VoxCPM."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.audio_vae.model import AudioVAEConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.key_mapping import KeyMapping, Rename, Rule
from uslm_tokenizer.pretrained.shared_rules import weight_norm_rules


def read_config(published: Mapping[str, Any]) -> AudioVAEConfig:
    """From `audio_vae_config` of VoxCPM's config.json, which may name nothing."""
    if published.get("use_noise_block"):
        raise ConfigError("use_noise_block of an AudioVAE must be False: no such one was published")
    usual = AudioVAEConfig()
    return AudioVAEConfig(
        sample_rate=published.get("sample_rate", usual.sample_rate),
        encoder_dim=published.get("encoder_dim", usual.encoder_dim),
        encoder_strides=tuple(published.get("encoder_rates", usual.encoder_strides)),
        latent_dim=published.get("latent_dim", usual.latent_dim),
        decoder_dim=published.get("decoder_dim", usual.decoder_dim),
        decoder_strides=tuple(published.get("decoder_rates", usual.decoder_strides)),
        depthwise=published.get("depthwise", usual.depthwise),
    )


def rules(config: AudioVAEConfig) -> tuple[Rule, ...]:
    """Rules of what becomes of each tensor: theirs lie in blocks, ours one after the other."""
    found: list[Rule] = [
        *_conv(r"encoder\.block\.0", "encoder.layers.0"),
        *_conv(r"encoder\.fc_mu", "encoder.to_mean"),
        *_conv(r"encoder\.fc_logvar", "encoder.to_log_variance"),
    ]
    place = 1
    for number, stride in enumerate(config.encoder_strides, start=1):
        theirs = rf"encoder\.block\.{number}\.block"
        for unit in range(3):
            found += _unit(rf"{theirs}\.{unit}", f"encoder.layers.{place + unit}")
        found.append(Rename(rf"{theirs}\.3\.alpha", f"encoder.layers.{place + 3}.alpha"))
        place += 4 + stride % 2  # an odd stride has a delay, without weights
        found += _conv(rf"{theirs}\.4", f"encoder.layers.{place}")
        place += 1
    num_first = 2 if config.depthwise else 1
    for place in range(num_first):
        found += _conv(rf"decoder\.model\.{place}", f"decoder.layers.{place}")
    place = num_first
    for number in range(len(config.decoder_strides)):
        theirs = rf"decoder\.model\.{num_first + number}\.block"
        found.append(Rename(rf"{theirs}\.0\.alpha", f"decoder.layers.{place}.alpha"))
        found += _conv(rf"{theirs}\.1", f"decoder.layers.{place + 1}")
        for unit in range(3):
            found += _unit(rf"{theirs}\.{2 + unit}", f"decoder.layers.{place + 2 + unit}")
        place += 5
    last = num_first + len(config.decoder_strides)
    found.append(Rename(rf"decoder\.model\.{last}\.alpha", f"decoder.layers.{place}.alpha"))
    found += _conv(rf"decoder\.model\.{last + 1}", f"decoder.layers.{place + 1}")
    return tuple(found)


def _conv(theirs: str, ours: str) -> tuple[Rule, ...]:
    return weight_norm_rules(theirs, f"{ours}.conv")


def _unit(theirs: str, ours: str) -> list[Rule]:
    """Snake, convolution, Snake, convolution."""
    inner = rf"{theirs}\.block"
    snakes = [Rename(rf"{inner}\.{i}\.alpha", f"{ours}.layers.{i}.alpha") for i in (0, 2)]
    return [
        *snakes,
        *(rule for i in (1, 3) for rule in _conv(rf"{inner}\.{i}", f"{ours}.layers.{i}")),
    ]


AUDIO_VAE = KeyMapping(
    name="audio_vae",
    systems=("AudioVAE",),
    model="uslm_tokenizer.codecs.audio_vae.model:AudioVAE",
    read_config=read_config,
    rules=rules,
    signature_keys=(r"encoder\.fc_mu\.weight_v", r"encoder\.fc_logvar\.weight_v"),
    source="https://github.com/OpenBMB/VoxCPM",
    code_licence="Apache-2.0",
    weights_licence="Apache-2.0",
)
