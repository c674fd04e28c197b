"""Commits and SHA-256 of published files, as public records of their use give them.

None was taken from a download of ours. A commit stands here where a program, or the path of a
cache, in a public repository names it. A SHA-256 stands here where a public program compares its
own download with it: several do for SpeechTokenizer, EnCodec's .th, DAC at 44.1 kHz and Mimi, one
for each of the others (for those of MaskGCT and Vevo it also tells the size, which is that of
their tensors). What has neither is compared with its own first download (first_seen.py).
"""

COMMITS: dict[str, str] = {
    "descript/dac_16khz": "7c2fc5e759f1f501aefc6e7a0265cc57f5d17ba7",
    "descript/dac_24khz": "6ba020b5ba7d9d8076fb90db7e67f27e31980f6e",
    "descript/dac_44khz": "c1bc521685adf9cfe247bc39a5ca58917eda1ac4",
    "fnlp/AnyGPT-speech-modules": "47320f954f02f108d0359fb80cd481038bba6be9",
    "fnlp/SpeechTokenizer": "4d54939beef00572fa7bfe41ee35a335c3732f51",
    "hf-audio/xcodec-hubert-librispeech": "2344bd08701239506b61e597ec7910f98bc86e2b",
}
"""By repository: for those whose files in the catalogue name none. They do not count in the names
of conversions, so that what was converted before they were known is found."""

SHA256: dict[str, str] = {
    "fnlp/SpeechTokenizer: speechtokenizer_hubert_avg/SpeechTokenizer.pt": (
        "d04593b6c9a4b475f91ca481141a6ef5b23e6ac112f347dd2b2717f193c1c728"
    ),
    "fnlp/SpeechTokenizer: speechtokenizer_hubert_avg/config.json": (
        "ea343ad69ca7e70c8febf8fc4cda683b1c4b1c36709e5e577936ffb05d62e6eb"
    ),
    "https://dl.fbaipublicfiles.com/encodec/v0/encodec_24khz-d7cc33bc.th": (
        "d7cc33bcf1aad7f2dad9836f36431530744abeace3ca033005e3290ed4fa47bf"
    ),
    "facebook/encodec_24khz: model.safetensors": (
        "37a7cb100f71a29e6c1d815aca8666a1d7ea8885ebe44c306c751a5103559d57"
    ),
    "descript/dac_24khz: model.safetensors": (
        "7452e3fc6972991da871ae1a1c9d3e8e219aa247cc0f757018867d6a7fe59aaf"
    ),
    "descript/dac_44khz: config.json": (
        "4eb55fb9af1990b8d608184ad29b70e358589719af7ea8d3c06998f7c2264a64"
    ),
    "descript/dac_44khz: preprocessor_config.json": (
        "c7d295758ce5777d6d88fef1996e94adc8ef3e2237ddfc5ecc24d1407aaddd7d"
    ),
    "descript/dac_44khz: model.safetensors": (
        "6128ebff483a41422b0164d079a3773b0d8d82e64c4293d775994cbf8baf913a"
    ),
    "kyutai/mimi: model.safetensors": (
        "bac7e85083dcded655d24eaadde7e6eea34c0da1b35fa2d284e641bd2b942a5e"
    ),
    "amphion/MaskGCT: t2s_model/model.safetensors": (
        "543156edd53f533572b751ca2e179c498b51fe96bb8a181e82e31b5ef455230e"
    ),
    "amphion/MaskGCT: s2a_model/s2a_model_full/model.safetensors": (
        "27518b0ffae8afdeec8d9b6102868ced38d2a93477eb992d381c188383e78cfa"
    ),
    "amphion/Vevo: tokenizer/vq8192/model.safetensors": (
        "660bd48b023e637a786a9c78f404cb979ef9a5d1c93ce24837e0bec942352c4d"
    ),
    "amphion/Vevo: acoustic_modeling/Vq8192ToMels/model.safetensors": (
        "750f013ac1485855bfbe992ffec8ed5f625e6070b8bc52ce71a6f9ae0229c5c4"
    ),
    "amphion/Vevo: acoustic_modeling/Vocoder/model.safetensors": (
        "7670d180569fdae986fbf94ede07d6fc4ce8bfcf406cd1aadbe33e08581b5f6a"
    ),
}
"""By address, of the content at the commit that is pinned."""
