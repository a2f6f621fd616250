"""OpenVINO says of the same graph what onnxruntime says, from any number of threads."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data.rendering import render
from data.splits import Splits
from models.classifier import Classifier
from tests.training.tiny_encoder import READING
from training.openvino_session import opener

CLOSE = 1e-4
ROOT = Path(__file__).parents[2]
OPEN = """
import sys
from pathlib import Path
from training.openvino_session import opener

opener("f32", 1)(Path(sys.argv[1]), 1)
assert "openvino" in sys.modules
assert sys.modules["openvino_telemetry"] is None
"""


@pytest.fixture(scope="module")
def ours(fp32: Path, encoder: Path) -> Classifier:
    return Classifier(fp32, encoder / "tokenizer.json", READING, open_session=opener("f32", 2))


def test_openvino_computes_what_onnxruntime_computes(
    ours: Classifier, fp32: Path, encoder: Path, splits: Splits
) -> None:
    theirs = Classifier(fp32, encoder / "tokenizer.json", READING)
    posts = [theirs.encode(render(post)) for post in splits.posts[:20]]
    said, wanted = ours.logits(posts), theirs.logits(posts)
    np.testing.assert_allclose(said.route, wanted.route, atol=CLOSE)
    np.testing.assert_allclose(said.intent, wanted.intent, atol=CLOSE)


def test_threads_that_share_a_session_do_not_overwrite_each_others_answers(ours: Classifier, splits: Splits) -> None:
    posts = [ours.encode(render(post)) for post in splits.posts[:20]]
    alone = [ours.logits([post]).route.tobytes() for post in posts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda post: ours.logits([post]).route.tobytes(), posts * 5))
    assert together == alone * 5


def test_openvino_reports_nothing_home(fp32: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(fp32)],
        cwd=ROOT,
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*")), "something was written into the home directory"
