"""DualSpeechLM's language model (Wang et al. 2025, arXiv 2508.08961): a causal language model of
transformers that also reads and writes understanding units.

    [speech] u u u END   [text] a b c END   [speech] v v v END
     the question         the answer, first as text, then as units, each from all before it

The model's own text embeddings and scores stay what they are; units and marks have a table and
scores of their own beside them. Ids: the units, then the text ids, then three marks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechLM, SpeechTextBatch
from uslm.models.teacher_forcing import NOT_PREDICTED
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.nn.padding import pad_right
from uslm_tokenizer.transformers_package import import_transformers, network_shape

NEED = "DualSpeechLM's language model needs"
NUM_MARKS = 3
"""Speech begins, text begins, a span ends."""
PROBE_IDS = 5
TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class DualLMConfig:
    """Parts of a DualLM."""

    backbone: dict[str, Any]
    """The causal language model as transformers configures it, `model_type` naming its family; the
    number of its layers stands in `num_layers`."""
    num_layers: int
    """Layers of the backbone."""
    codebook_size: int = 1024
    """Number of different units."""
    tokenizer: str = ""
    """Hash of the tokenizer whose units it was trained on."""

    def __post_init__(self) -> None:
        for name in ("num_layers", "codebook_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if not isinstance(self.backbone.get("model_type"), str):
            raise ConfigError("backbone must name its model_type, such as 'llama'")


class DualLM(SpeechLM):
    """Speech in units and text -> what follows."""

    model_type: ClassVar[str] = "dual_lm"
    config_class: ClassVar[type] = DualLMConfig
    config: DualLMConfig

    def __init__(self, config: DualLMConfig) -> None:
        super().__init__(config)
        self._assemble(build_causal_lm(config.backbone, config.num_layers))

    @classmethod
    def from_causal_lm(cls, causal_lm: Any, *, codebook_size: int, tokenizer: str = "") -> "DualLM":
        """Around a loaded language model, which is not copied. ConfigError where its scores are
        more than a linear layer of its hidden states."""
        _check_head(causal_lm)
        shape = network_shape(causal_lm.config)
        shape.pop("num_hidden_layers", None)
        config = DualLMConfig(
            backbone={"model_type": causal_lm.config.model_type} | shape,
            num_layers=causal_lm.config.num_hidden_layers,
            codebook_size=codebook_size,
            tokenizer=tokenizer,
        )
        model = cls.__new__(cls)
        SpeechLM.__init__(model, config)
        model._assemble(causal_lm)
        return model

    def _assemble(self, causal_lm: Any) -> None:
        self.body = causal_lm.base_model
        table, head = causal_lm.get_input_embeddings(), causal_lm.get_output_embeddings()
        self.text_head = None if head.weight is table.weight else head
        self.vocab_size, dim = (int(size) for size in table.weight.shape)
        self.own = nn.Embedding(self.codebook_size + NUM_MARKS, dim)
        self.to_own = nn.Linear(dim, self.codebook_size + NUM_MARKS)
        nn.init.zeros_(self.to_own.bias)
        if table.weight.is_meta:
            return
        # What is new begins as the mean of the text's rows, and each a little apart: so its scores
        # are neither far above nor far below those of text.
        for own, given, spread in (
            (self.own, table, float(table.weight.detach().float().std())),
            (self.to_own, head, 0.02),
        ):
            mean = given.weight.detach().float().mean(dim=0)
            own.weight.data.normal_(std=spread).add_(mean)

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def tokenizer_hash(self) -> str:
        return self.config.tokenizer

    @property
    def text_vocab_size(self) -> int:
        return self.vocab_size

    @property
    def end_id(self) -> int:
        return self.codebook_size + self.vocab_size + NUM_MARKS - 1

    @property
    def max_length(self) -> int:
        """Most tokens of a row."""
        return int(getattr(self.body.config, "max_position_embeddings", 1 << 30))

    @classmethod
    def tiny_config(cls) -> DualLMConfig:
        return DualLMConfig(backbone=dict(TINY_LLAMA), num_layers=2, codebook_size=32)

    def batch(
        self, rows: Sequence[Sequence[Span]], predict_from: Sequence[int] | None = None
    ) -> SpeechTextBatch:
        before = [0] * len(rows) if predict_from is None else predict_from
        spelt = [self._row(row, known) for row, known in zip(rows, before, strict=True)]
        device = self.device
        tokens, mask = pad_right([tokens for tokens, _, _ in spelt])
        patches = torch.arange(tokens.shape[1]).expand(len(rows), -1)
        return SpeechTextBatch(
            tokens=tokens.to(device),
            patches=torch.where(mask, patches, -1).to(device),
            targets=pad_right([targets for _, targets, _ in spelt], NOT_PREDICTED)[0].to(device),
            is_speech=pad_right([speech for _, _, speech in spelt])[0].bool().to(device),
        )

    def forward(self, tokens: Int[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        """Hidden states after every token; padding stands at the right."""
        found = self.body(inputs_embeds=self._embedded(tokens), use_cache=False)
        return cast(Tensor, found.last_hidden_state)

    def logits(self, hidden: Float[Tensor, "*rest d"]) -> Float[Tensor, "*rest v"]:
        """Scores of units, text ids and marks."""
        own = self.to_own(hidden)
        if self.text_head is None:
            text = F.linear(hidden, self.body.get_input_embeddings().weight)
        else:
            text = self.text_head(hidden)
        size = self.codebook_size
        return torch.cat([own[..., :size], text, own[..., size:]], dim=-1).float()

    def token_losses(self, batch: SpeechTextBatch) -> Float[Tensor, "b l"]:
        predicted = batch.targets != NOT_PREDICTED
        hidden = self(batch.tokens)[predicted]
        losses = F.cross_entropy(self.logits(hidden), batch.targets[predicted], reduction="none")
        return torch.zeros_like(batch.targets, dtype=losses.dtype).masked_scatter(predicted, losses)

    @torch.no_grad()
    def begin(
        self, row: Sequence[Span], kind: Literal["speech", "text"]
    ) -> tuple[Any, Float[Tensor, " v"]]:
        """As of any SpeechLM; the state is the cache of the backbone."""
        tokens = self._row(row, 0)[0] if row else torch.zeros(0, dtype=torch.long)
        if not row or row[-1].kind != kind:
            marks = [self.end_id] * bool(row) + [self._mark(kind)]
            tokens = torch.cat([tokens, torch.tensor(marks)])
        found = self.body(
            inputs_embeds=self._embedded(tokens[None].to(self.device)), use_cache=True
        )
        return found.past_key_values, self.logits(found.last_hidden_state[0, -1])

    @torch.no_grad()
    def step(self, token: int, state: Any) -> Float[Tensor, " v"]:
        x = self._embedded(torch.tensor([[token]], device=self.device))
        found = self.body(inputs_embeds=x, past_key_values=state, use_cache=True)
        return self.logits(found.last_hidden_state[0, -1])

    def forward_flops(self, num_tokens: int, num_patches: int) -> float:
        weights: int = sum(p.numel() for p in self.body.parameters() if p.ndim > 1)
        dim = self.own.embedding_dim
        scores = dim * (self.end_id + 1)
        looked_at = num_tokens**2 * dim * self.config.num_layers
        return 2.0 * num_tokens * (weights - self.vocab_size * dim + scores) + 2.0 * looked_at

    def _embedded(self, tokens: Int[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        first, after = self.codebook_size, self.codebook_size + self.vocab_size
        is_text = (tokens >= first) & (tokens < after)
        text = self.body.get_input_embeddings()(torch.where(is_text, tokens - first, 0))
        own = torch.where(tokens < first, tokens, tokens - self.vocab_size)
        own = self.own(torch.where(is_text, 0, own))
        return torch.where(is_text[..., None], text, own)

    def _mark(self, kind: str) -> int:
        return self.codebook_size + self.vocab_size + (kind == "text")

    def _row(
        self, row: Sequence[Span], known: int
    ) -> tuple[Int[Tensor, " l"], Int[Tensor, " l"], Bool[Tensor, " l"]]:
        """Tokens, targets, and which of these are of speech. Marks are given, never predicted;
        spans of one kind in a row are one."""
        ids: list[Tensor] = []
        predicted: list[bool] = []
        speech: list[bool] = []
        for place, span in enumerate(row):
            self._check(span)
            if place == 0 or row[place - 1].kind != span.kind:
                if place:
                    ids.append(torch.tensor([self.end_id]))
                    predicted.append(place > known)
                    speech.append(row[place - 1].kind == "speech")
                ids.append(torch.tensor([self._mark(span.kind)]))
                predicted.append(False)
                speech.append(False)
            own = span.ids.cpu().long()
            ids.append(own + self.codebook_size if span.kind == "text" else own)
            predicted += [place >= known] * len(own)
            speech += [span.kind == "speech"] * len(own)
        end = torch.tensor([self.end_id])
        counts = torch.tensor([*predicted, len(row) > known])
        is_speech = torch.tensor([*speech, row[-1].kind == "speech"]) & counts
        whole = torch.cat([*ids, end])
        if len(whole) > self.max_length:
            raise UserError(
                f"a sequence must have at most {self.max_length} tokens, as many as the language "
                f"model was made for, but has {len(whole)}"
            )
        targets = torch.where(counts, whole, NOT_PREDICTED)
        return whole[:-1], targets[1:], is_speech[1:]

    def _check(self, span: Span) -> None:
        speech = span.kind == "speech"
        size = self.codebook_size if speech else self.vocab_size
        if len(span.ids) and (int(span.ids.min()) < 0 or int(span.ids.max()) >= size):
            raise UserError(
                f"{'units' if speech else 'text ids'} must lie in [0, {size}), those of the model, "
                f"but reach from {int(span.ids.min())} to {int(span.ids.max())}"
            )
        if span.patches is not None:
            raise UserError("patches are of models that read them; this one reads units one by one")


TINY_LLAMA: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


def build_causal_lm(backbone: Mapping[str, Any], num_layers: int) -> Any:
    """A causal language model of transformers with random weights."""
    transformers = import_transformers(NEED)
    options = {name: value for name, value in backbone.items() if name != "model_type"}
    family = str(backbone["model_type"])
    config = transformers.AutoConfig.for_model(family, **options, num_hidden_layers=num_layers)
    return transformers.AutoModelForCausalLM.from_config(config).float()


@torch.no_grad()
def _check_head(causal_lm: Any) -> None:
    """ConfigError unless the scores are those of the output embeddings."""
    ids = torch.arange(PROBE_IDS, device=causal_lm.device)[None]
    scores = causal_lm(input_ids=ids).logits
    head = causal_lm.get_output_embeddings()
    plain = head(causal_lm.base_model(input_ids=ids).last_hidden_state)
    if scores.shape != plain.shape or not torch.allclose(
        scores, plain, atol=TOLERANCE, rtol=TOLERANCE
    ):
        raise ConfigError(
            "the scores of the language model must be a linear layer of its hidden states, but "
            f"those of {causal_lm.config.model_type!r} are more than that"
        )
