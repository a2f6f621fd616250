"""Ways from trained weights to something that answers: graph, arithmetic and runtime. `training.plane` measures them.

Each way is a value; adding one to `variants` puts it on the plane.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationMethod

from models.classifier import OpenSession, open_session
from training.quantize import OPERATORS, quantize_int8, save_dynamic, shrink_embeddings
from training.static import PERCENTILE, Feed, quantize_static_int8, quantize_tokens_int8

FEED_FORWARD_DOWN = r"layer\.\d+/output/dense"
"""The second half of every feed-forward network, whose inputs have the largest outliers."""
REFERENCE = "fp32, fused"


@dataclass(frozen=True, slots=True)
class Graphs:
    """The fp32 graphs that all ways start from, and the INT8 graph that a run's gates left; `None` where there is none.

    `traced` is as torch wrote it, `fused` the same after fusion; `student` is the fused graph of a distilled network.
    """

    traced: Path
    fused: Path
    gated: Path | None
    student: Path | None


@dataclass(frozen=True, slots=True)
class Variant:
    """One way: its name, what gives its graph (written at the path where it is a new one), and what opens it."""

    name: str
    make: Callable[[Path], Path]
    open: OpenSession = open_session


def _plain(fp32: Path, int8: Path) -> Path:
    return save_dynamic(onnx.load(str(fp32)), int8, operators=(*OPERATORS, "EmbedLayerNormalization"))


def _rows(fp32: Path, int8: Path) -> Path:
    model = onnx.load(str(fp32))
    shrink_embeddings(model)
    return save_dynamic(model, int8)


def _as_is(name: str, graph: Path, opened: OpenSession = open_session) -> Variant:
    return Variant(name, lambda _: graph, opened)


def _static(graphs: Graphs, feeds: Sequence[Feed]) -> tuple[Variant, ...]:
    def fixed(method: CalibrationMethod, excluded: str = "") -> Callable[[Path], Path]:
        return lambda int8: quantize_static_int8(graphs.fused, int8, feeds, method, excluded)

    least_to_most, most = CalibrationMethod.MinMax, CalibrationMethod.Percentile
    return (
        Variant("static, scaled by token", partial(quantize_tokens_int8, graphs.fused)),
        Variant("static, min-max", fixed(least_to_most)),
        Variant(f"static, {PERCENTILE:g} %", fixed(most)),
        Variant("static, min-max, feed-forward down in fp32", fixed(least_to_most, FEED_FORWARD_DOWN)),
    )


def _student(student: Path) -> tuple[Variant, ...]:
    return (
        _as_is("student, fp32", student),
        Variant("student, dynamic, scaled by token", partial(quantize_int8, student)),
        Variant("student, static, scaled by token", partial(quantize_tokens_int8, student)),
    )


def _openvino(graphs: Graphs, feeds: Sequence[Feed], runs_at_once: int) -> tuple[Variant, ...]:
    from training.openvino_session import opener

    exact, short = opener("f32", runs_at_once), opener("bf16", runs_at_once)
    ours = {each.name: each.make for each in _static(graphs, feeds)}
    return (
        _as_is("OpenVINO, fp32", graphs.fused, exact),
        _as_is("OpenVINO, bf16", graphs.fused, short),
        *(Variant(f"OpenVINO, {name}", ours[name], exact) for name in ("static, scaled by token", "static, min-max")),
    )


def variants(graphs: Graphs, feeds: Sequence[Feed], *, openvino: bool, runs_at_once: int) -> tuple[Variant, ...]:
    """All ways that are measured, the reference first; static ranges come from `feeds`.

    Raises:
        MissingGroupError: when `openvino` is asked for and not installed.
    """
    dynamic = (
        Variant("dynamic", partial(_plain, graphs.fused)),
        Variant("dynamic, embeddings by row", partial(_rows, graphs.fused)),
        Variant("dynamic, scaled by token", partial(quantize_int8, graphs.fused)),
        *((_as_is("dynamic, scaled by token, as the gates left it", graphs.gated),) if graphs.gated else ()),
    )
    return (
        _as_is(REFERENCE, graphs.fused),
        _as_is("fp32, as torch wrote it", graphs.traced),
        *dynamic,
        *_static(graphs, feeds),
        *(_student(graphs.student) if graphs.student else ()),
        *(_openvino(graphs, feeds, runs_at_once) if openvino else ()),
    )
