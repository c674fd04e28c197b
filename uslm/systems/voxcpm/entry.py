"""VoxCPM as published, and as it is trained here."""

from uslm.systems.entry import Entry, Pipeline
from uslm_tokenizer.pretrained.catalogue import Part, System, Weights
from uslm_tokenizer.pretrained.source import HubFile

COMMIT = "f67d35a3848e0bec0fdb8c33e6fc92cf293ee72f"
"""Of the weights on the Hub, as public scripts that download them name it."""


def file(path: str) -> HubFile:
    """A file of its repository."""
    return HubFile(repo="openbmb/VoxCPM-0.5B", path=path, revision=COMMIT)


ENTRY = Entry(
    models={"voxcpm": "uslm.systems.voxcpm.model:VoxCPM"},
    key_mappings={"voxcpm": "uslm.systems.voxcpm.checkpoint:VOXCPM"},
    pretrained=System(
        title="VoxCPM: text to latents, by a language model with a diffusion head",
        kind="speech",
        parts=(
            Part(
                name="codec",
                components=(
                    Weights(
                        key_mapping="audio_vae",
                        file=file("audiovae.pth"),
                        config="audio_vae",
                    ),
                ),
            ),
            Part(
                name="lm",
                components=(
                    Weights(
                        key_mapping="voxcpm",
                        file=file("pytorch_model.bin"),
                        config=file("config.json"),
                    ),
                ),
            ),
        ),
        files={"tokenizer.json": file("tokenizer.json")},
    ),
    pipeline=Pipeline(
        load="uslm.systems.voxcpm.pipeline:load_voxcpm",
        settings="uslm.systems.voxcpm.pipeline:voxcpm_settings",
        text="uslm.systems.voxcpm.pipeline:voxcpm_text",
        tiny="uslm.systems.voxcpm.tiny:save_tiny_voxcpm",
    ),
)
