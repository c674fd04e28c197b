"""Under which names conversions were kept before their names depended on their files alone."""

EARLIER: dict[str, str] = {
    "speechtokenizer-f02f53d001a9": "speechtokenizer-8fb640d783ba",
    "speechtokenizer-snake-ed842d0bbafb": "speechtokenizer-snake-7f10c5908004",
    "dm-codec-43454d495235": "dm-codec-4a93767ccf1d",
    "wavtokenizer-small-75-bac12a916797": "wavtokenizer-small-75-177127d34a1a",
    "wavtokenizer-small-40-c37a7d540f10": "wavtokenizer-small-40-22ed4912ee85",
    "wavtokenizer-medium-speech-75-fef7ab88d8a9": "wavtokenizer-medium-speech-75-d7c5c868f8d4",
    "wavtokenizer-medium-music-75-e5b0d9a6f36e": "wavtokenizer-medium-music-75-f29145470030",
    "wavtokenizer-large-speech-75-f718f863238e": "wavtokenizer-large-speech-75-3d9ed4de50d7",
    "wavtokenizer-large-unify-40-0e7fe59a7df9": "wavtokenizer-large-unify-40-a03b45ad886b",
    "languagecodec-43454d495235": "languagecodec-a75b64743976",
    "hificodec-16k-320-c92dfc569782": "hificodec-16k-320-2dd1cc5deab6",
    "hificodec-24k-320-93b2c9756192": "hificodec-24k-320-a8a1debb20b0",
    "hificodec-24k-240-43454d495235": "hificodec-24k-240-a25f26dd3ba7",
    "maskgct-semantic-c207ffe27306": "maskgct-semantic-317fa56c0298",
    "maskgct-acoustic-7b604c31a1af": "maskgct-acoustic-2be1452a6a40",
    "vevo-content-c5b12a1ce72a": "vevo-content-43cd85f85861",
    "vevo-style-5374053f494b": "vevo-style-1bcb1ece196e",
    "encodec-24khz-original-eb8b6ae89f34": "encodec-24khz-original-c4e9396e686e",
    "encodec-48khz-original-800ef63f7f7f": "encodec-48khz-original-7e9d9077097c",
    "uslm-9530f42a0ab1": "uslm-91cab28dcebc",
    "maskgct-435932c79bc9": "maskgct-9deea39a406f",
    "vevo-beb8081e7ec7": "vevo-12f179f65324",
}
"""A folder of today to the same of before: another pin or conversion has another name, no entry."""
