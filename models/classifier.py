"""The fine-tuned transformer on onnxruntime: rendered posts in, logits out. Knows no torch.

A post gets the same bytes alone, in any batch, at any padding and in any thread: every window is run alone and
without padding, on one thread (`docs/decisions/0002`). A long post is read in overlapping windows, each with the
whole context; the windows are joined so that reading more can only make a post look less simple.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Encoding

from data.rendering import Rendered
from data.taxonomy import ROUTES
from models.bundle import Reading
from models.reading import cut_context, load_tokenizer

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("route", "intent")
_SIMPLE = ROUTES.index("simple")


@dataclass(frozen=True, slots=True)
class Encoded:
    """One post as the windows that the model runs. `tokens` counts them all; `truncated` says that some were cut."""

    windows: tuple[Encoding, ...]
    truncated: bool

    @property
    def tokens(self) -> int:
        """How many tokens the model reads for this post, over all windows."""
        return sum(len(window.ids) for window in self.windows)


@dataclass(frozen=True, slots=True)
class Logits:
    """Raw outputs of a list of posts: `route` `[n, 4]`, `intent` `[n, k]` for the `k` intents of the graph."""

    route: FloatArray
    intent: FloatArray


def session_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """Options for runs of one post: one thread, no spinning, one arena for all, deterministic kernels.

    The arena keeps memory flat where two threads run posts of many lengths; both were measured (`docs/decisions/0017`).
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = True
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


class Session(Protocol):
    """What runs a graph: an `onnxruntime.InferenceSession`, or what stands in for one."""

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, IntArray]) -> Sequence[FloatArray]:
        """The named outputs for the named inputs."""


OpenSession = Callable[[Path, int], Session]
"""Gives the session of the graph in a file, which uses so many threads for one run."""


def open_session(model: Path, threads: int = 1) -> Session:
    """The onnxruntime session of a graph."""
    session: Session = onnxruntime.InferenceSession(
        str(model), session_options(threads), providers=["CPUExecutionProvider"]
    )
    return session


def join_windows(route: FloatArray, intent: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The logits of one post from those of its windows: `[w, 4]` and `[w, k]` to `[4]` and `[k]`.

    Least simple, most of everything else: one window with a sensitive fact decides however long the rest is.
    """
    joined = route.max(axis=0)
    joined[_SIMPLE] = route[:, _SIMPLE].min()
    return joined, intent.mean(axis=0)


class Classifier:
    """Runs one ONNX graph. Safe to share between threads; each call runs on the caller's thread."""

    def __init__(
        self,
        model: Path,
        tokenizer: Path,
        reading: Reading,
        *,
        threads: int = 1,
        open_session: OpenSession = open_session,
    ) -> None:
        self._reading = reading
        self._tokenizer = load_tokenizer(tokenizer, reading)
        self._session = open_session(model, threads)

    def encode(self, rendered: Rendered) -> Encoded:
        """The windows of one rendered post. Cuts the context to its own limit, never the post for the context."""
        context = cut_context(self._tokenizer, rendered.context, self._reading.context_tokens)
        first = self._tokenizer.encode(rendered.text, context)
        windows = (first, *first.overflowing)
        kept = self._reading.max_windows
        return Encoded(windows=tuple(windows[:kept]), truncated=len(windows) > kept)

    def run(self, ids: IntArray, mask: IntArray, types: IntArray) -> tuple[FloatArray, FloatArray]:
        """Logits `[n, 4]` and `[n, k]` of padded windows `[n, t]`; each row is run alone, without its padding."""
        routes, intents = [], []
        for row_ids, row_mask, row_types in zip(ids, mask, types, strict=True):
            real = row_mask.astype(bool)
            feed = dict(zip(INPUTS, (row_ids[real], row_mask[real], row_types[real]), strict=True))
            route, intent = self._session.run(OUTPUTS, {name: value[None] for name, value in feed.items()})
            routes.append(route)
            intents.append(intent)
        return np.concatenate(routes), np.concatenate(intents)

    def _run_window(self, window: Encoding) -> tuple[FloatArray, FloatArray]:
        arrays = (np.array([part], dtype=np.int64) for part in (window.ids, window.attention_mask, window.type_ids))
        return self.run(*arrays)

    def logits(self, posts: Sequence[Encoded]) -> Logits:
        """Logits of encoded posts, `[n, 4]` and `[n, k]`, in order; those of no posts are of no intents."""
        rows = []
        for post in posts:
            outputs = [self._run_window(window) for window in post.windows]
            route, intent = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
            rows.append(join_windows(route, intent))
        if not rows:
            return Logits(route=np.empty((0, len(ROUTES)), np.float32), intent=np.empty((0, 0), np.float32))
        routes, intents = (np.stack(parts) for parts in zip(*rows, strict=True))
        return Logits(route=routes, intent=intents)
