"""A frozen causal language model of transformers that judges speech: its weights never change."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.environment import check_torchaudio
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource
from uslm_tokenizer.transformers_package import import_transformers

PROBE_TOKENS = 6
NEED = "a language model that judges needs"


class FrozenLM:
    """The body and the text table of a causal LM; no part of the module that it judges.

    A gradient crosses it and moves nothing in it. It is no `nn.Module`, so that checkpoints of
    what it judges do not hold it.
    """

    def __init__(self, model: Any, text_tokenizer: Any = None) -> None:
        """`model` is a causal LM of transformers; `text_tokenizer` is needed for texts only."""
        self.model = model.requires_grad_(False).eval()
        self.text_tokenizer = text_tokenizer
        table = model.get_input_embeddings().weight
        self.vocab_size, self.dim = int(table.shape[0]), int(table.shape[1])
        self.scale = float(table.float().std())
        """Deviation of the text embeddings, which embeddings beside them should have too."""
        num_tokens = len(text_tokenizer) if hasattr(text_tokenizer, "__len__") else 0
        if num_tokens > self.vocab_size:
            raise ConfigError(
                f"the text tokenizer has {num_tokens} tokens, but its language model "
                f"{self.vocab_size}: they do not belong together"
            )
        self._check_causal()

    @classmethod
    def load(cls, name_or_path: str, *, random_seed: int | None = None) -> "FrozenLM":
        """A folder, a model of the Hub, or a GGUF file (which needs the package `gguf`); with a
        seed, one of its shape with random weights."""
        transformers = import_transformers(NEED)
        check_torchaudio()
        where: dict[str, Any] = {}
        if name_or_path.endswith(".gguf"):
            path = Path(name_or_path)
            name_or_path, where = str(path.parent), {"gguf_file": path.name}
        try:
            config = transformers.AutoConfig.from_pretrained(name_or_path, **where)
            if random_seed is None:
                model = transformers.AutoModelForCausalLM.from_pretrained(
                    name_or_path, dtype=torch.float32, **where
                )
            else:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(random_seed)
                    model = transformers.AutoModelForCausalLM.from_config(config).float()
        except ImportError as problem:
            raise EnvironmentProblem(f"{NEED} another package: {problem}") from problem
        except (OSError, ValueError) as problem:
            reason = str(problem).strip().splitlines()[0]
            raise MissingResource(
                f"no causal language model at {name_or_path!r}: {reason}"
            ) from problem
        try:
            text_tokenizer = transformers.AutoTokenizer.from_pretrained(name_or_path, **where)
        except (OSError, ValueError, KeyError):
            text_tokenizer = None  # whoever wants texts judged asks for it by `text_ids`
        return cls(model, text_tokenizer)

    def to(self, device: torch.device) -> "FrozenLM":
        """Move the model."""
        self.model.to(device)
        return self

    def hidden(
        self, embeddings: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        """The last hidden states; gradients reach the embeddings."""
        dtype = next(self.model.parameters()).dtype
        body = self.model.base_model
        out = body(inputs_embeds=embeddings.to(dtype), attention_mask=mask.long(), use_cache=False)
        found: Tensor = out.last_hidden_state
        return found.float()

    def embed(self, ids: Int[Tensor, "b s"]) -> Float[Tensor, "b s d"]:
        """The frozen embeddings of a text; ConfigError for ids that the model has not."""
        if ids.numel() and int(ids.max()) >= self.vocab_size:
            raise ConfigError(
                f"text ids must be below {self.vocab_size}, the vocabulary of the language model, "
                f"but reach {int(ids.max())}"
            )
        found: Tensor = self.model.get_input_embeddings()(ids)
        return found.float()

    def text_logits(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        """Scores of the text tokens that follow."""
        head = self.model.get_output_embeddings()
        scores: Tensor = head(hidden.to(head.weight.dtype))
        return scores.float()

    def text_ids(self, text: str) -> Int[Tensor, " s"]:
        """A text in the model's own tokens; ConfigError without its tokenizer."""
        if self.text_tokenizer is None:
            raise ConfigError("the language model came without a text tokenizer, which texts need")
        found = self.text_tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor(found, dtype=torch.long)

    @torch.no_grad()
    def text_nll(self, ids: Int[Tensor, "b s"]) -> Float[Tensor, ""]:
        """Mean negative log-likelihood of texts of one length, nats a token after the first."""
        hidden = self.hidden(self.embed(ids), torch.ones_like(ids, dtype=torch.bool))
        logits = self.text_logits(hidden[:, :-1].flatten(0, 1))
        return F.cross_entropy(logits, ids[:, 1:].flatten())

    @torch.no_grad()
    def _check_causal(self) -> None:
        """ConfigError unless what follows changes nothing before it."""
        draw = torch.Generator().manual_seed(0)
        probe = self.scale * torch.randn(1, PROBE_TOKENS, self.dim, generator=draw)
        other = probe.clone()
        other[:, -1] = -other[:, -1]
        device = next(self.model.parameters()).device
        mask = torch.ones(1, PROBE_TOKENS, dtype=torch.bool, device=device)
        one, two = (self.hidden(each.to(device), mask)[:, :-1] for each in (probe, other))
        if not torch.allclose(one, two, atol=1e-4, rtol=1e-3):
            kind = getattr(self.model.config, "model_type", type(self.model).__name__)
            raise ConfigError(f"the language model must be causal, but {kind!r} sees what follows")
