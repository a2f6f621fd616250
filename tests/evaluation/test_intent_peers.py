"""The programs of other libraries, run as they are, in an environment where those libraries are a few lines long."""

import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.benchmarks.intents import methods
from evaluation.benchmarks.intents.measurement import plan, run
from evaluation.benchmarks.intents.methods import MethodError, read_logits
from evaluation.benchmarks.intents.sets import Set, Text
from tests.evaluation.intent_texts import BILLS, HELD_OUT, quiet

LEARNER = '''
"""Knows an intent by the first words of its texts. Refuses what the real libraries refuse, and to be online."""
import os
from pathlib import Path

import numpy as np


class Learner:
    def __init__(self, encoder):
        assert os.environ["HF_HUB_OFFLINE"] == "1"
        if not Path(encoder).is_dir():
            raise OSError(f"{encoder} is no directory")

    def learn(self, texts, labels):
        self.first = {text.split()[0]: label for text, label in zip(texts, labels, strict=True)}
        self.intents = len(set(labels))

    def chances(self, texts):
        if not texts:
            raise ValueError("Empty input")
        found = [self.first.get(text.split()[0]) for text in texts]
        return np.stack([np.arange(self.intents) == label for label in found]).astype(float)
'''

SETFIT = """
import os

from learner import Learner


class SetFitModel(Learner):
    from_pretrained = classmethod(lambda cls, encoder: cls(encoder))

    def predict_proba(self, texts, as_numpy):
        return self.chances(texts)


class TrainingArguments:
    def __init__(self, **settings):
        assert os.environ["ACCELERATE_MIXED_PRECISION"] == "bf16"
        assert 0 < settings["max_steps"] <= 2_000


class Trainer:
    def __init__(self, model, args, train_dataset):
        self.train = lambda: model.learn(train_dataset["text"], train_dataset["label"])
"""

DATASETS = """
class Dataset:
    from_dict = staticmethod(dict)
"""

AUTOINTENT = """
import os
from pathlib import Path
from types import SimpleNamespace

from learner import Learner


class Dataset(dict):
    @classmethod
    def from_dict(cls, parts):
        taught = [{row["label"] for row in rows} for rows in parts.values()]
        if list(parts) != ["train", "validation"] or taught[0] != taught[1]:
            raise ValueError("Mismatch in number of classes across splits.")
        return cls(parts)


class OptimizationConfig:
    def __init__(self, search_space, hpo_config, embedder_config, logging_config, seed):
        assert [node["node_type"] for node in search_space] == ["scoring"]
        assert seed > 0
        assert Path(os.environ["XDG_CACHE_HOME"]).is_dir()
        self.encoder = embedder_config["model_name"]


class Scorer(Learner):
    name = "linear"

    def clear_cache(self):
        self.first = {}

    def fit(self, texts, labels):
        self.learn(texts, labels)

    def predict(self, texts):
        return self.chances(texts)


class Pipeline:
    def __init__(self, encoder):
        self.nodes = {"scoring": SimpleNamespace(module=Scorer(encoder))}

    @classmethod
    def from_optimization_config(cls, config):
        return cls(config.encoder)

    def fit(self, dataset):
        rows = dataset["train"]
        self.nodes["scoring"].module.fit([row["utterance"] for row in rows], [row["label"] for row in rows])
"""

AUTOINTENT_UTILS = """
def load_preset(name):
    nodes = [{"node_type": "scoring"}, {"node_type": "decision"}]
    return {"search_space": nodes, "hpo_config": {"n_trials": 20}, "embedder_config": {"model_name": name}}
"""

TEXTS = (
    *BILLS,
    Text("train", "play a song", "play"),
    *HELD_OUT,
)
TINY = Set("hint3-curekart", "hint3", TEXTS)
UNDEVELOPED = replace(TINY, name="banking77", texts=tuple(text for text in TEXTS if text.part != "development"))


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What our trainer says it starts from. Both environments are a Python with the libraries above."""
    of_module = {
        "learner.py": LEARNER,
        "setfit.py": SETFIT,
        "datasets.py": DATASETS,
        "autointent/__init__.py": AUTOINTENT,
        "autointent/utils.py": AUTOINTENT_UTILS,
    }
    for name, text in of_module.items():
        path = tmp_path / "libraries" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}/libraries" exec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(methods, "install", lambda *_: tmp_path)
    monkeypatch.setattr(methods, "program_of", lambda *_: python)
    monkeypatch.setattr(methods, "_train", lambda *_: {"encoder": str(tmp_path / "encoder")})
    (tmp_path / "encoder").mkdir()
    return tmp_path / "encoder"


@pytest.mark.parametrize("name", ["setfit", "autointent"])
def test_a_peer_gives_logits_for_both_held_out_parts(name: str, encoder: Path, tmp_path: Path) -> None:
    results = run(plan([TINY], [name], 2, tmp_path, quiet), tmp_path, quiet)
    assert not results.missing
    assert [cell.scored.accuracy for cell in results.cells] == [1.0, 1.0]
    assert all(cell.scored.turned is not None for cell in results.cells)


@pytest.mark.parametrize("name", ["setfit", "autointent"])
def test_a_peer_learns_a_set_without_a_development_part(name: str, encoder: Path, tmp_path: Path) -> None:
    (planned,) = plan([UNDEVELOPED], [name], 1, tmp_path, quiet)
    (cell,) = run([planned], tmp_path, quiet).cells
    assert cell.scored.accuracy == 1.0
    assert read_logits(planned.home).development.shape == (0, 2)
    assert np.isfinite(read_logits(planned.home).test).all()


def test_a_peer_that_ends_badly_is_missing_with_its_name(encoder: Path, tmp_path: Path) -> None:
    encoder.rmdir()
    results = run(plan([TINY], ["autointent"], 1, tmp_path, quiet), tmp_path, quiet)
    assert "autointent_program` ended with 1" in results.missing[0].reason


def test_an_encoder_that_has_moved_since_is_asked_for_again(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, second) = plan([TINY], ["autointent"], 2, tmp_path, quiet)
    first.method.learn(first.work)
    encoder.rename(tmp_path / "elsewhere")
    with pytest.raises(MethodError, match="ended with 1"):
        second.method.learn(second.work)
    monkeypatch.setattr(methods, "_train", lambda *_: {"encoder": str(tmp_path / "elsewhere")})
    assert second.method.learn(second.work).test.shape == (3, 2)
