"""SpeechTokenizer: codec, training steps, losses."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from uslm_tokenizer.codecs.speech_tokenizer.checkpoint import SPEECH_TOKENIZER
from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.objectives import distillation, waveform
from uslm_tokenizer.objectives.taught import TaughtCodec
from uslm_tokenizer.pretrained.golden import GoldenFile
from uslm_tokenizer.pretrained.key_mapping import convert, load_pretrained

SYSTEMS = ("SpeechTokenizer", "DM-Codec")
STEP = re.compile(r"step(\d+)_")


def check(golden: GoldenFile) -> None:
    with torch.no_grad():
        if not golden.weights:
            check_losses(golden)
        elif any(map(STEP.match, golden.outputs)):
            check_training(golden)
        else:
            check_codec(golden)


def load(golden: GoldenFile) -> SpeechTokenizer:
    config = SPEECH_TOKENIZER.read_config(golden.config)
    model = load_pretrained(SPEECH_TOKENIZER, golden.weights, config)
    assert isinstance(model, SpeechTokenizer)
    return model


def source(golden: GoldenFile, output: str) -> Tensor:
    """What the output was made from: the last input or code named before it in `calls`."""
    before, arrow, _ = "; ".join(golden.metadata["calls"]).partition(output)
    assert arrow, f"{golden.path.name}: no call gives {output}"
    name = re.findall(r"\b(?:wav|codes)_\w+", before)[-1]
    return golden.inputs[name] if name in golden.inputs else golden.outputs[name]


def check_codec(golden: GoldenFile) -> None:
    model = load(golden)
    for name in golden.outputs:
        model.use_codebooks(model.config.num_levels)
        golden.compare(name, codec_output(golden, model, name))


def codec_output(golden: GoldenFile, model: SpeechTokenizer, name: str) -> Tensor:
    """Our output of that name; published codes are [k b t]."""
    if match := re.fullmatch(r"encoder_out_(\w+)", name):
        return model.encoder(golden.inputs[f"wav_{match[1]}"])
    if match := re.fullmatch(r"codes(?:_nq(\d+))?(?:_st(\d+))?_(\w+)", name):
        model.use_codebooks(int(match[1] or model.num_codebooks))
        codes = model.encode(golden.inputs[f"wav_{match[3]}"], start=int(match[2] or 0))
        return codes.transpose(0, 1)
    if match := re.fullmatch(r"recon_from_layer(\d+)_on", name):
        start = int(match[1])
        return decode(model, source(golden, name)[start:], start)
    if name == "recon_first_layer_only":
        return decode(model, source(golden, name)[:1])
    if match := re.fullmatch(r"recon_(\w+)", name):
        rest = match[1]
        codes = golden.inputs[rest] if rest in golden.inputs else golden.outputs[f"codes_{rest}"]
        start = re.match(r"(?:nq\d+_)?st(\d+)_", rest)
        return decode(model, codes, int(start[1]) if start else 0)
    if match := re.fullmatch(r"forward_feature_(\d+)", name):
        quantized = model.quantize(source(golden, "forward_feature_"))
        return quantized.levels[int(match[1])]
    match = re.fullmatch(r"forward(?:_nq(\d+))?(?:_layer(\d+))?_(\w+)", name)
    assert match, f"unknown output {name}"
    model.use_codebooks(int(match[1] or model.num_codebooks))
    return forward_output(golden, name, model, int(match[2] or 0), match[3])


def forward_output(
    golden: GoldenFile, name: str, model: SpeechTokenizer, layer: int, part: str
) -> Tensor:
    passed = model(source(golden, name))
    if part == "wav":
        return passed.waveform
    if part == "commit_loss":
        # In eval mode the original reports zero, whatever the distance; ours is the distance.
        assert golden.outputs[name] == 0
        return torch.zeros_like(passed.quantized.loss)
    assert part in ("feature", "semantic_feature"), f"unknown output {name}"
    return model.project(passed.quantized.levels[layer])


def decode(model: SpeechTokenizer, codes: Tensor, start: int = 0) -> Tensor:
    model.use_codebooks(start + len(codes))
    return model.decode(codes.transpose(0, 1), start=start)


def check_training(golden: GoldenFile) -> None:
    model = load(golden).train()
    taught = TaughtCodec(model, ())  # what train_waveform_codec takes a step with
    ours = convert(SPEECH_TOKENIZER, golden.weights, model.config).used
    steps = sorted({int(match[1]) for name in golden.outputs if (match := STEP.match(name))})
    passes, states = {}, {}
    for step in steps:
        passes[step], _, _ = taught(source(golden, f"step{step}_wav"), None)
        states[step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    # Every step decays the moving averages. A file that has them equal after each step was written
    # with references to the buffers: what it holds under every step is the state after the last.
    last_only = all(
        torch.equal(tensor, golden.outputs[STEP.sub(f"step{steps[-1]}_", name)])
        for name, tensor in golden.outputs.items()
        if "_state/" in name
    )
    for name, expected in golden.outputs.items():
        match = STEP.match(name)
        assert match, f"unknown output {name}"
        step, part = int(match[1]), name[match.end() :]
        if part.startswith("state/"):
            state = states[steps[-1] if last_only else step]
            found = state[ours[part.removeprefix("state/")]]
            if found.dtype == torch.bool:  # the original's flags are numbers, [1]
                found = found.reshape(expected.shape).to(expected.dtype)
            golden.compare(name, found)
        else:
            passed = passes[step]
            results = {
                "wav": passed.waveform,
                "commit_loss": passed.quantized.loss,
                "semantic_feature": model.project(passed.quantized.levels[0]),
            }
            golden.compare(name, results[part])


def check_losses(golden: GoldenFile) -> None:
    wav, wav_hat = golden.inputs["wav"], golden.inputs["wav_hat"]
    mel_loss = waveform.speech_tokenizer_mel_loss(16_000)
    real, fake = features(golden, "real"), features(golden, "fake")
    real_scores, fake_scores = scores(golden, "real"), scores(golden, "fake")
    results = {
        "mel_loss_weighted_sum": mel_loss(wav_hat, wav),
        "recon_loss": waveform.sample_loss(wav_hat, wav),
        "d_axis_distill_loss": distillation.distillation_loss(
            golden.inputs["feature"], golden.inputs["target"]
        ),
        "feature_loss": waveform.feature_matching_loss(real, fake, "hifi_gan"),
        "discriminator_loss": waveform.discriminator_loss(real_scores, fake_scores, "hifi_gan"),
        "adversarial_loss": waveform.adversarial_loss(fake_scores, "hifi_gan"),
    }
    for i, distance in enumerate(mel_loss.distances(wav_hat, wav)):
        results[f"mel_loss_{i}"] = distance
        results[f"mel_{i}"] = mel_loss.mels[i](wav).transpose(1, 2)
    for name in golden.outputs:
        golden.compare(name, results[name])


def scores(golden: GoldenFile, side: str) -> list[Tensor]:
    """Of each discriminator."""
    names = sorted(name for name in golden.inputs if re.fullmatch(rf"logit_{side}_\d+", name))
    return [golden.inputs[name] for name in names]


def features(golden: GoldenFile, side: str) -> list[list[Tensor]]:
    """Of each discriminator, of each of its layers."""
    layers: dict[int, dict[int, Tensor]] = {}
    for name, tensor in golden.inputs.items():
        if match := re.fullmatch(rf"fmap_{side}_(\d+)_(\d+)", name):
            layers.setdefault(int(match[1]), {})[int(match[2])] = tensor
    return [[layers[i][j] for j in sorted(layers[i])] for i in sorted(layers)]
