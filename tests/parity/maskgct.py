"""MaskGCT: semantic codec, acoustic codec, text-to-semantic and semantic-to-acoustic models."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor

from uslm.generate.masked import Unmasking, unmask
from uslm.models.masked import MaskedModel, MaskedRow
from uslm.systems.maskgct.checkpoint import S2A, T2S
from uslm_tokenizer.codecs.maskgct.checkpoint import DECODER, ENCODER
from uslm_tokenizer.codecs.repcodec.checkpoint import REPCODEC
from uslm_tokenizer.pretrained.golden import GoldenFile
from uslm_tokenizer.pretrained.key_mapping import load_pretrained

SYSTEMS = ("MaskGCT",)


def check(golden: GoldenFile) -> None:
    system = golden.system.removeprefix("MaskGCT ")
    checks = {
        "semantic codec": check_semantic_codec,
        "acoustic codec": check_acoustic_codec,
        "text-to-semantic": check_t2s,
        "semantic-to-acoustic": check_s2a,
    }
    with torch.no_grad():
        next(each for name, each in checks.items() if system.startswith(name))(golden)


def matching(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The rest of each name that begins so, with its tensor."""
    return {k.removeprefix(prefix): tensor for k, tensor in tensors.items() if k.startswith(prefix)}


def check_semantic_codec(golden: GoldenFile) -> None:
    codec = load_pretrained(REPCODEC, golden.weights, REPCODEC.read_config(golden.config))
    for case, features in matching(golden.inputs, "features_").items():
        codes = codec.encode(features)
        vectors = codec.quantizer.decode(codes)
        results = {
            f"codes_{case}": codes[:, 0],
            f"quantized_{case}": vectors.transpose(1, 2),
            f"vq2emb_{case}": vectors,
            f"encoder_out_{case}": codec.latents(features).transpose(1, 2),
        }
        compare(golden, results)
    calls = "; ".join(golden.metadata["calls"])
    if found := re.search(r"\bforward\((features_\w+)\)", calls):
        passed = codec(golden.inputs[found[1]])
        indices = passed.quantized.codes.transpose(0, 1)
        compare(golden, {"forward_reconstruction": passed.features, "forward_indices": indices})


def check_acoustic_codec(golden: GoldenFile) -> None:
    """The encoder alone, or codebooks and decoder."""
    if "d_model" in golden.config:
        encoder = load_pretrained(ENCODER, golden.weights, ENCODER.read_config(golden.config))
        for case, waveform in matching(golden.inputs, "wav_").items():
            golden.compare(f"latent_{case}", encoder(waveform))
        return
    decoder = load_pretrained(DECODER, golden.weights, DECODER.read_config(golden.config))
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


def check_t2s(golden: GoldenFile) -> None:
    model = load_pretrained(T2S, golden.weights, T2S.read_config(golden.config))
    given = matching(golden.inputs, "fwd_")
    if given:
        phones = {
            "prefix": model.phone_embedding(given["phone_ids"]),
            "prefix_mask": given["phone_mask"].bool(),
        }
        for name, options in {"fwd_hidden": phones, "fwd_no_phone_hidden": {}}.items():
            hidden = model.estimator(
                given["x"], given["time"], mask=given["x_mask"].bool(), **options
            )
            compare(golden, {name: hidden, name.replace("hidden", "logits"): model.logits(hidden)})
    for case in cases(golden):
        given = matching(golden.inputs, f"{case}_")
        length = int(given["target_len"])
        rows = [
            MaskedRow(condition=phones, prompt=prompt[None], target=torch.zeros(1, length).long())
            for phones, prompt in zip(given["phone_ids"], given["prompt_codes"], strict=True)
        ]
        codes = check_diffusion(golden, case, model, rows, (int(given["steps"]),))
        golden.compare(f"{case}_codes", codes[:, 0])


def check_s2a(golden: GoldenFile) -> None:
    model = load_pretrained(S2A, golden.weights, S2A.read_config(golden.config))
    given = matching(golden.inputs, "fwd_")
    if given:
        codebook = int(given["layer"])
        received = (
            model.unit_embedding(given["cond_codes"]) + model.codebook_embedding.weight[codebook]
        )
        mask = given["x_mask"].bool()
        hidden = model.estimator(given["x"], given["time"], condition=received, mask=mask)
        compare(golden, {"fwd_hidden": hidden, "fwd_logits": model.logits(hidden, codebook)})
    for case in cases(golden):
        given = matching(golden.inputs, f"{case}_")
        prompts = given["prompt_codes"].transpose(1, 2)[:, : model.num_codebooks]
        targets = prompts.new_zeros(
            *prompts.shape[:2], given["cond_codes"].shape[1] - prompts.shape[2]
        )
        first = 0
        if "gt_codes" in given:
            known = given["gt_codes"].transpose(1, 2)
            first = known.shape[1]
            targets[:, :first] = known
        rows = [
            MaskedRow(condition=units, prompt=prompt, target=target)
            for units, prompt, target in zip(given["cond_codes"], prompts, targets, strict=True)
        ]
        steps = tuple(given["steps"].tolist())[first : model.num_codebooks]
        codes = check_diffusion(golden, case, model, rows, steps, first)
        golden.compare(f"{case}_codes", codes.transpose(1, 2))


def cases(golden: GoldenFile) -> list[str]:
    """What the names of each reverse diffusion begin with."""
    return [name.removesuffix("_steps") for name in golden.inputs if name.endswith("_steps")]


def check_diffusion(
    golden: GoldenFile,
    case: str,
    model: MaskedModel,
    rows: list[MaskedRow],
    steps: tuple[int, ...],
    first_codebook: int = 0,
) -> Tensor:
    """Run the reverse diffusion and compare what is known of its steps; the codes [b, k, t]."""
    numbers, used = golden.inputs[f"{case}_uniform"], 0

    def uniform(row: int, shape: tuple[int, ...]) -> Tensor:
        nonlocal used
        begin, used = used, used + torch.Size(shape).numel()
        return numbers[begin:used].reshape(shape)

    batch = model.batch(rows)
    settings = unmasking_of(golden, steps)
    diffusion = unmask(model, batch, settings, uniform, first_codebook=first_codebook)
    for index, done in enumerate(diffusion):
        free = [row.hidden.unconditional for row in done if row.hidden.unconditional is not None]
        results = {
            "mask_before": torch.stack([row.is_masked for row in done]).byte(),
            "cond_hidden": torch.stack([row.hidden.conditional for row in done]),
            "uncond_hidden": torch.stack(free) if free else torch.zeros(0),
            "guided_hidden": torch.stack([row.hidden.guided for row in done]),
            "logits_top_k": torch.stack([row.drawn.logits for row in done]),
            "sampled": torch.stack([row.drawn.codes for row in done]),
            "codes_after": torch.stack([row.codes for row in done]),
            "confidence": torch.stack([row.drawn.confidence for row in done]),
        }
        compare(golden, {f"{case}_step{index}_{name}": value for name, value in results.items()})
    compare(golden, {f"{case}_uniform_used": torch.tensor(used)})
    return torch.stack([c[:, t] for c, t in zip(batch.codes, batch.is_target, strict=True)])


def unmasking_of(golden: GoldenFile, steps: tuple[int, ...]) -> Unmasking:
    """The settings of the reference's call, as its line in the metadata states them."""
    call = next(line for line in golden.metadata["calls"] if line.startswith("reverse_diffusion("))
    stated = dict(re.findall(r"(temp|cfg|rescale_cfg|filter_thres)=([0-9.]*[0-9])", call))
    names = {
        "temp": "temperature",
        "cfg": "guidance",
        "rescale_cfg": "rescale",
        "filter_thres": "filter_threshold",
    }
    settings = {names[name]: float(value) for name, value in stated.items()}
    # The reference measures the growth over all rows together.
    return replace(Unmasking(steps=steps, whole_batch=True), **settings)


def compare(golden: GoldenFile, results: dict[str, Tensor]) -> None:
    """Compare those of the results that the file has."""
    for name in results.keys() & golden.outputs.keys():
        golden.compare(name, results[name])
