"""Schemas of what a client sends and gets, beside audio."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from uslm.synthesis.seeds import MAX_SEED

Format = Literal["mp3", "opus", "aac", "m4a", "flac", "wav", "pcm"]
SampleRate = Literal[8000, 16000, 24000, 48000]


class Strict(BaseModel):
    """Knows all its fields; an unknown one is a mistake."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class VoiceId(Strict):
    """A voice, as OpenAI names its custom ones."""

    id: Annotated[str, Field(max_length=64)]


class SpeechRequest(BaseModel):
    """A text to speak. The fields from `seed` on are not OpenAI's; those of other servers that
    are unknown here are ignored and named in `X-Uslm-Ignored`, or refused (`--strict`)."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: Annotated[str, Field(max_length=256, description="The model's name, or OpenAI's")]
    input: Annotated[str, Field(description="The text; `[pause:0.8]` rests for so long")]
    voice: (
        Annotated[
            str,
            Field(
                max_length=64, description="A voice of `/v1/audio/voices`, or OpenAI's name of one"
            ),
        ]
        | VoiceId
    )
    instructions: Annotated[str | None, Field(description="Not supported")] = None
    response_format: Annotated[
        Format, Field(description="m4a is not OpenAI's; it and aac need uslm[aac]")
    ] = "mp3"
    speed: Annotated[float, Field(ge=0.25, le=4, description="Keeps the pitch")] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    lang_code: Annotated[
        str | None, Field(max_length=64, description="Must be the language of the model, if given")
    ] = None
    seed: Annotated[
        int | None,
        Field(strict=True, ge=0, le=MAX_SEED, description="Same seed, same speech"),
    ] = None
    temperature: Annotated[float | None, Field(ge=0, le=5)] = None
    top_k: Annotated[int | None, Field(strict=True, ge=0, le=100_000)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    verify: Annotated[bool, Field(description="Verify it, and regenerate bad segments")] = False
    retries: Annotated[int | None, Field(strict=True, ge=0, le=5)] = None
    any_language: Annotated[
        bool, Field(description="Speak texts in languages that the model was not trained on, too")
    ] = False
    sample_rate: Annotated[
        SampleRate | None, Field(description="Default: the model's; of pcm 24000, as OpenAI's")
    ] = None
    words: Annotated[
        bool, Field(description="With stream_format sse: events say when each word is spoken")
    ] = False

    @model_validator(mode="before")
    @classmethod
    def as_clients_write(cls, given: Any) -> Any:
        """`null` is what was left out, and names of formats may be in capitals."""
        if not isinstance(given, dict):
            return given
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        found = {
            name: each for name, each in given.items() if each is not None or name not in optional
        }
        for name in ("response_format", "stream_format"):
            if isinstance(found.get(name), str):
                found[name] = found[name].lower()
        return found

    @property
    def unknown_fields(self) -> list[str]:
        """Names of what was sent beside all these."""
        return sorted(self.model_extra or {})


class Model(BaseModel):
    """A model that speaks."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The models of this server."""

    object: Literal["list"] = "list"
    data: list[Model]


class Voice(BaseModel):
    """A voice that texts can be spoken with."""

    id: str
    object: Literal["audio.voice"] = "audio.voice"
    created_at: int
    name: str
    type: Literal["audio_sample"] = "audio_sample"
    seconds: float
    transcript: str | None
    licence: str | None
    consent: str | None
    findings: list[str] = []


class NamedVoice(BaseModel):
    """A voice, as Open WebUI and Kokoro-FastAPI list theirs."""

    id: str
    name: str


class VoiceList(BaseModel):
    """The kept voices of this server, or a page of them; and the names of all."""

    object: Literal["list"] = "list"
    data: list[Voice]
    first_id: str | None
    last_id: str | None
    has_more: bool
    voices: list[NamedVoice]
    """All that can be asked for, stock voices too."""


class VoiceDeleted(BaseModel):
    """A voice that is gone."""

    id: str
    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    deleted: bool = True


class Health(BaseModel):
    """Whether the server can be sent requests."""

    status: Literal["ok", "shutting_down", "failed"]


class Problem(BaseModel):
    """A problem, as clients read it."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every answer that is an error."""

    error: Problem
