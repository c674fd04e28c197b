"""AudioVAE and its checkpoint."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(
    models={"audio_vae": "uslm_tokenizer.codecs.audio_vae.model:AudioVAE"},
    key_mappings={"audio_vae": "uslm_tokenizer.codecs.audio_vae.checkpoint:AUDIO_VAE"},
)
