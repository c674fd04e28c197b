"""The variational codec, by its name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"vae_codec": "uslm_tokenizer.codecs.vae.model:VAECodec"})
