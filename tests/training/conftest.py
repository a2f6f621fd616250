"""Everything tiny, made once a session: posts, an encoder, a recipe, trained weights, graphs and a whole run."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from data.sources import write_labelled
from data.splits import Splits, split, write_splits
from models.bundle import sha256_of
from models.classifier import Classifier
from models.policy import RiskBudget
from tests.training.stores import own_store
from tests.training.tiny_encoder import READING, write_encoder
from tests.training.tiny_posts import SHARES, tiny_posts
from tests.training.whole_run import WholeRun, make_whole_run
from training.export import export_fp32
from training.members import Finetuned, finetune
from training.network import Network, load_network
from training.quantize import quantize_int8
from training.recipe import DataRecipe, EncoderRecipe, FinetuneRecipe, Recipe
from training.tracking.registry import versions


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Torch on one thread: faster on so little work, and the same sums as in a subprocess that is told the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def splits() -> Splits:
    return split(tiny_posts(), shares=SHARES)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the tiny encoder."""
    directory = tmp_path_factory.mktemp("encoder")
    write_encoder(directory)
    return directory


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory, encoder: Path, splits: Splits) -> Recipe:
    """A recipe by which the tiny encoder learns the tiny posts, its data written beside each other."""
    directory = tmp_path_factory.mktemp("data")
    write_labelled(directory / "posts.jsonl", list(splits.posts))
    write_splits(directory / "splits.json", splits)
    return Recipe(
        name="tiny",
        seed=3,
        withstand_injections=False,  # a network of a few posts is talked into anything
        data=DataRecipe(posts=str(directory / "posts.jsonl"), splits=str(directory / "splits.json")),
        encoder=EncoderRecipe(name="tiny", sha256=sha256_of(encoder / "model.safetensors"), directory=str(encoder)),
        reading=READING,
        finetune=FinetuneRecipe(
            members=2,
            epochs=6,
            patience_epochs=6,
            batch_posts=8,
            learning_rate=5e-3,
            head_learning_rate_factor=2.0,
            weight_decay=0.01,
            warmup_share=0.1,
            gradient_norm=1.0,
            dropout=0.1,
            intent_loss_weight=0.5,
            average_decay=0.8,
            author_dropout=0.3,
            noise=0.3,
        ),
        budget=RiskBudget(leak_sensitive=0.4, leak_influencer=0.6, wrong=0.6, confidence=0.9),
    )


@pytest.fixture
def still(recipe: Recipe, encoder: Path, tmp_path: Path) -> Recipe:
    """The tiny recipe without any dropout, whose masks differ by rank; the last batch of an epoch has a post fewer."""
    shutil.copytree(encoder, tmp_path / "encoder")
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    changes = {"members": 1, "epochs": 2, "batch_posts": 9, "dropout": 0.0, "bf16": False}
    place = recipe.encoder.model_copy(update={"directory": str(tmp_path / "encoder")})
    settings = recipe.finetune.model_copy(update=changes)
    return recipe.model_copy(update={"encoder": place, "finetune": settings})


@pytest.fixture(scope="session")
def finetuned(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, encoder: Path, splits: Splits) -> Finetuned:
    """The tiny encoder after it has learnt the tiny posts."""
    directory = tmp_path_factory.mktemp("finetuned")
    return finetune(recipe, encoder, splits.part("train"), splits.part("development"), directory)


@pytest.fixture(scope="session")
def network(encoder: Path, finetuned: Finetuned) -> Network:
    return load_network(encoder, finetuned.weights)


@pytest.fixture(scope="session")
def fp32(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Path:
    """The fused fp32 graph of the trained network."""
    return export_fp32(network, tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="session")
def int8(fp32: Path) -> Path:
    """The INT8 graph as it would ship."""
    return quantize_int8(fp32, fp32.with_name("int8.onnx"))


@pytest.fixture(scope="session")
def classifier(int8: Path, encoder: Path) -> Classifier:
    """The served classifier on the INT8 graph."""
    return Classifier(int8, encoder / "tokenizer.json", READING)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a store of MLflow in which nothing is."""
    with own_store(tmp_path_factory.mktemp("empty")) as uri:
        assert versions() == ()
    return Path(uri.removeprefix("sqlite:///"))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, empty_store: Path) -> WholeRun:
    """A run of the command, tracked, its bundle measured on the posts once more as if they were other people's."""
    return make_whole_run(tmp_path_factory.mktemp("whole-run"), recipe, empty_store)
