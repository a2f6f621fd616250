"""The network: a pretrained encoder, mean pooling and two linear heads, `route` and `intent`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PretrainedConfig
from transformers.utils import logging as transformers_logging

from data.taxonomy import ROUTES

Attention = Literal["sdpa", "eager"]


def _supported(attention: Attention, config: PretrainedConfig) -> Attention:
    """`attention`, or `eager` where this kind of encoder knows no other (MPNet, whose positions are relative)."""
    return attention if getattr(MODEL_MAPPING[type(config)], "_supports_sdpa", False) else "eager"


class Network(nn.Module):
    """Token ids `[n, t]` to route logits `[n, 4]` and logits `[n, k]` of so many `intents`."""

    def __init__(self, encoder_directory: Path, intents: int, *, dropout: float, attention: Attention) -> None:
        super().__init__()
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers
        config = AutoConfig.from_pretrained(encoder_directory, local_files_only=True)
        self.encoder = AutoModel.from_pretrained(
            encoder_directory,
            config=config,
            attn_implementation=_supported(attention, config),
            add_pooling_layer=False,
            local_files_only=True,
        )
        width: int = self.encoder.config.hidden_size
        self.dropout = nn.Dropout(dropout)
        self.route = nn.Linear(width, len(ROUTES))
        self.intent = nn.Linear(width, intents)

    def pool(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """The mean `[n, d]` of the last hidden states of each text; padding (mask 0) does not count."""
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled: Tensor = (hidden * mask).sum(1) / mask.sum(1)
        return pooled

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Route logits `[n, 4]` and intent logits `[n, k]`."""
        pooled = self.dropout(self.pool(input_ids, attention_mask, token_type_ids))
        return self.route(pooled), self.intent(pooled)

    def token_embeddings(self) -> nn.Parameter:
        """The vectors of the vocabulary `[v, d]`, half of all weights of a small encoder."""
        vectors: nn.Parameter = self.encoder.get_input_embeddings().weight
        return vectors

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of the two heads, which start from nothing and learn faster."""
        return [*self.route.parameters(), *self.intent.parameters()]


def build_network(encoder_directory: Path, intents: int, *, dropout: float, seed: int) -> Network:
    """A network to train: pretrained encoder, heads for so many `intents` drawn from `seed`."""
    torch.manual_seed(seed)
    return Network(encoder_directory, intents, dropout=dropout, attention="sdpa")


def intents_of(state: Mapping[str, Tensor]) -> int:
    """For how many intents the network was that these weights (a state dict) are of."""
    return len(state["intent.bias"])


def load_network(encoder_directory: Path, weights: Path, attention: Attention = "eager") -> Network:
    """A trained network to export, without dropout; `eager` attention is the form that graph fusion recognises."""
    state = torch.load(weights, weights_only=True)
    network = Network(encoder_directory, intents_of(state), dropout=0.0, attention=attention)
    network.load_state_dict(state)
    return network.eval()
