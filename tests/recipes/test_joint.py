"""Joint training: crops are of the frames they are said to be of, and only what may learn does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uslm.generate.codebooks import fill_codebooks
from uslm.models.base import AcousticRow
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.regressor import AcousticRegressor
from uslm_recipes.data.crops import Crops
from uslm_recipes.train.discriminator import DiscriminatorConfig, build_discriminator
from uslm_recipes.train.joint import main
from uslm_recipes.train.joint_voices import JointVoice, SourceFilterVoice, UnitVoice, joint_voice
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.errors import ConfigError, MissingResource

NUM_FRAMES = 8
STARTS = [20, 13]
"""Of each row's crop, counted after the prompt; row 0 knows its first 5 frames."""


def awake(part: nn.Module) -> Any:
    """Weights that are not zero, so that all that is given matters."""
    torch.manual_seed(2)
    for parameter in part.parameters():
        nn.init.normal_(parameter, std=0.2)
    return part


def source_filter_voice() -> JointVoice:
    codec = awake(SourceFilterCodec(SourceFilterCodec.tiny_config()))
    # Codes of the most codebooks that this stage 2 can have.
    config = replace(
        ConvRegressor.tiny_config(),
        num_codebooks=codec.num_codebooks,
        codebook_size=codec.codebook_size,
        latent_dim=codec.config.latent_dim,
        unit_weight=0.4,
    )
    acoustic = awake(ConvRegressor(config))
    acoustic.learn_vectors(codec.codebook_vectors())
    return joint_voice(acoustic, codec)


def unit_voice() -> JointVoice:
    codec = awake(UnitCodec(UnitCodec.tiny_config()))
    config = replace(
        AcousticRegressor.tiny_config(),
        num_codebooks=codec.num_codebooks,
        codebook_size=codec.codebook_size,
        vector_dim=codec.config.dim,
    )
    acoustic = awake(AcousticRegressor(config))
    some = torch.zeros(codec.num_codebooks, 9, dtype=torch.long)
    acoustic.learn_vectors(codec.codebook_vectors(), [some, some + 1])
    return joint_voice(acoustic, codec)


KINDS = pytest.mark.parametrize("make", [source_filter_voice, unit_voice])


def rows_of(voice: JointVoice) -> list[AcousticRow]:
    """Two rows with prompts of other lengths; one knows which symbol each frame is of."""
    random = torch.Generator().manual_seed(1)

    def codes(num_frames: int) -> Tensor:
        size = (voice.codec.num_codebooks, num_frames)
        return torch.randint(0, 30, size, generator=random)

    return [
        AcousticRow(
            prompt=codes(11),
            codes=codes(40),
            num_context=5,
            text_ids=torch.arange(1, 9),
            text_positions=torch.arange(40) // 5,
        ),
        AcousticRow(prompt=codes(17), codes=codes(30)),
    ]


def crops_of(rows: list[AcousticRow]) -> Crops:
    return Crops(
        rows=list(range(len(rows))),
        prompt_frames=[row.prompt.shape[1] for row in rows],
        starts=STARTS,
        waveforms=torch.zeros(0),
    )


@KINDS
@torch.no_grad()
def test_crops_are_what_the_codec_decodes_from_these_frames(make: type[JointVoice]) -> None:
    voice = make().eval()
    rows = rows_of(voice)
    crops = crops_of(rows)
    noise = torch.randn(4, NUM_FRAMES * voice.codec.hop_length)
    made, _ = voice(voice.acoustic.batch(rows), crops, NUM_FRAMES, noise)
    filled = fill_codebooks(voice.acoustic, rows)
    places = list(zip(rows, filled, crops.starts, strict=True))
    guessed = [codes[:, s - row.num_context :][:, :NUM_FRAMES] for row, codes, s in places]
    true = [row.codes[:, s : s + NUM_FRAMES] for row, _, s in places]
    codes = torch.stack([*guessed, *true])
    if isinstance(voice, SourceFilterVoice):
        levels = torch.full((len(codes),), voice.codec.num_codebooks)
        wanted = voice.codec(codes, levels, noise)
    else:
        wanted = voice.codec.decode(codes)
    assert float(wanted.std()) > 0
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@KINDS
def test_only_what_may_learn_has_gradients(make: type[JointVoice]) -> None:
    voice = make().eval()
    rows = rows_of(voice)
    noise = torch.randn(4, NUM_FRAMES * voice.codec.hop_length)
    made, error = voice(voice.acoustic.batch(rows), crops_of(rows), NUM_FRAMES, noise)
    (made.square().mean() + error).backward()
    learns, of_codec = (
        {name.split(".")[0] for name, each in part.named_parameters() if each.grad is not None}
        for part in (voice.acoustic, voice.codec)
    )
    if isinstance(voice, UnitVoice):
        assert "transformer" in learns and of_codec == {"decoder", "head"}
    else:
        assert learns == set() and of_codec == {"decoder"}


def test_the_recipe_moves_the_decoder_alone(trained_default: Path) -> None:
    """Otherwise the tokens of the corpus, and stage 1 with them, would be another codec's."""

    def changed(before: str, after: str) -> set[str]:
        first, second = (
            load_file(trained_default / name / "model.safetensors") for name in (before, after)
        )
        assert first.keys() == second.keys()
        return {name for name in first if not torch.equal(first[name], second[name])}

    assert changed("nar/model", "joint/model") == set()
    moved = changed("codec/model", "joint/codec")
    assert moved and all(name.startswith("decoder.") for name in moved)


def test_a_resumed_run_ends_with_the_same_decoder(trained_default: Path, tmp_path: Path) -> None:
    """What the decoder's noise is made of goes on where it was, too."""
    made = trained_default
    judge = max(made.glob("codec/checkpoints/step-*")) / "discriminator.safetensors"
    given = ["--config", "tiny", "--out", str(tmp_path)]
    for setting in (
        f"corpus=[{made / 'corpus'}]", f"tokens=[{made / 'codec' / 'tokens' / '0'}]",
        f"tokenizer={made / 'codec' / 'model'}", f"acoustic={made / 'nar' / 'model'}",
        f"discriminator.initial={judge}", "loop.save_every_minutes=1e-9", "loop.samples=0",
    ):  # fmt: skip
        given += ["--set", setting]
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "codec").exists()
    assert main([*given, "--resume"]) == 0
    whole, parts = (
        (folder / "codec" / "model.safetensors").read_bytes()
        for folder in (made / "joint", tmp_path)
    )
    assert whole == parts


def test_a_discriminator_goes_on_as_a_run_before_has_left_it(tmp_path: Path) -> None:
    """Weights of the file, in a discriminator that learns; one of another form is refused."""
    torch.manual_seed(0)
    config = DiscriminatorConfig(windows=(256, 128), filters=2)
    before = build_discriminator(config)
    path = tmp_path / "discriminator.safetensors"
    save_file(before.state_dict(), path)
    again = build_discriminator(replace(config, initial=str(path)))
    assert any(parameter.requires_grad for parameter in again.parameters())
    for name, tensor in before.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert not torch.equal(
        build_discriminator(config).state_dict()["scales.0.layers.0.bias"],
        before.state_dict()["scales.0.layers.0.bias"],
    )
    with pytest.raises(ConfigError, match=r"discriminator\.safetensors"):
        build_discriminator(replace(config, initial=str(path), filters=3))
    with pytest.raises(MissingResource, match="no weights at"):
        build_discriminator(replace(config, initial=str(tmp_path / "none")))


def test_a_stage_2_of_another_codec_is_refused() -> None:
    codec = UnitCodec(UnitCodec.tiny_config())
    acoustic = ConvRegressor(ConvRegressor.tiny_config())
    with pytest.raises(ConfigError, match="but are conv_regressor and unit_codec"):
        joint_voice(acoustic, codec)
