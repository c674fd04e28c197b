"""MaskGCT: semantic codec, acoustic codec, text-to-semantic and semantic-to-acoustic models."""

from __future__ import annotations

import torch
from torch import Tensor

from uslm_tokenizer.published.golden import GoldenFile
from uslm_tokenizer.published.layout import load_published
from uslm_tokenizer.published.maskgct_codec import DECODER, ENCODER
from uslm_tokenizer.published.repcodec import REPCODEC

SYSTEMS = ("MaskGCT",)


def check(golden: GoldenFile) -> None:
    system = golden.system.removeprefix("MaskGCT ")
    checks = {"semantic codec": check_semantic_codec, "acoustic codec": check_acoustic_codec}
    with torch.no_grad():
        next(each for name, each in checks.items() if system.startswith(name))(golden)


def matching(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The rest of each name that begins so, with its tensor."""
    return {k.removeprefix(prefix): tensor for k, tensor in tensors.items() if k.startswith(prefix)}


def check_semantic_codec(golden: GoldenFile) -> None:
    codec = load_published(REPCODEC, golden.weights, REPCODEC.read_config(golden.config))
    for case, features in matching(golden.inputs, "features_").items():
        passed = codec(features)
        codes = codec.encode(features)
        vectors = codec.quantizer.decode(codes)
        results = {
            f"codes_{case}": codes[:, 0],
            f"quantized_{case}": vectors.transpose(1, 2),
            f"vq2emb_{case}": vectors,
            f"encoder_out_{case}": codec.latents(features).transpose(1, 2),
        }
        compare(golden, results)
        # One of the cases is passed through as a whole; its name does not say which.
        whole = golden.outputs.get("forward_reconstruction")
        if whole is not None and whole.shape == passed.features.shape:
            golden.compare("forward_reconstruction", passed.features)
            golden.compare("forward_indices", passed.quantized.codes.transpose(0, 1))


def check_acoustic_codec(golden: GoldenFile) -> None:
    """The encoder alone, or codebooks and decoder."""
    if "d_model" in golden.config:
        encoder = load_published(ENCODER, golden.weights, ENCODER.read_config(golden.config))
        for case, waveform in matching(golden.inputs, "wav_").items():
            golden.compare(f"latent_{case}", encoder(waveform))
        return
    decoder = load_published(DECODER, golden.weights, DECODER.read_config(golden.config))
    quantizer = decoder.quantizer
    for case, latents in matching(golden.inputs, "latent_").items():
        codes = quantizer.encode(latents)
        quantized = quantizer.decode(codes)
        results = {
            f"codes_{case}": codes.transpose(0, 1),
            f"quantized_{case}": quantized,
            f"wav_{case}": decoder(quantized),
            f"backbone_out_{case}": decoder.vocos.hidden(quantized),
        }
        for count in range(1, quantizer.num_codebooks + 1):
            few = quantizer.encode(latents, count)
            results[f"codes_nq{count}_{case}"] = few.transpose(0, 1)
            results[f"quantized_nq{count}_{case}"] = quantizer.decode(few)
        compare(golden, results)
    for case, given in matching(golden.inputs, "codes_").items():
        codes = given.transpose(0, 1)
        vectors = quantizer.decode(codes)
        results = {"vq2emb_all": vectors, f"wav_codes_{case}": decoder(vectors)}
        for count in range(1, codes.shape[1] + 1):
            results[f"vq2emb_nq{count}"] = quantizer.decode(codes, count)
        compare(golden, results)


def compare(golden: GoldenFile, results: dict[str, Tensor]) -> None:
    """Compare those of the results that the file has."""
    for name in results.keys() & golden.outputs.keys():
        golden.compare(name, results[name])
