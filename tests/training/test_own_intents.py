"""From posts with intents of the user's own to an answer that names them, by the commands that a person types."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from data.__main__ import main as data_main
from data.sources import write_labelled
from evaluation.__main__ import main as evaluation_main
from models.bundle import Bundle, load_bundle
from models.predictor import Predictor
from serving.app import create_app
from serving.settings import Settings
from tests.data.own_taxonomy import OWN, OWN_TOML
from tests.serving.clients import WAIT_S, service_of
from tests.training.tiny_posts import tiny_posts
from training.__main__ import main as training_main
from training.recipe import Recipe, recipe_toml

OWN_INTENT = {
    "order_status": "where_is_it",
    "praise": "thanks",
    "billing_payment": "broken_thing",
    "fault_outage": "broken_thing",
    "safety_health": "broken_thing",
    "fraud_security": "broken_thing",
    "product_info": "chatter",
}


@dataclass(frozen=True, slots=True)
class Own:
    """Files of somebody who labels in their own way."""

    posts: Path
    taxonomy: Path
    recipe: Path
    bundle: Bundle


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Own:
    """What check, split and run made of the tiny posts under intents of one's own."""
    home = tmp_path_factory.mktemp("own")
    posts, taxonomy, splits = home / "posts.jsonl", home / "acme.toml", home / "splits.json"
    write_labelled(posts, [each.model_copy(update={"intent": OWN_INTENT[each.intent]}) for each in tiny_posts()])
    taxonomy.write_text(OWN_TOML)
    named = ["--taxonomy", str(taxonomy)]
    assert data_main(["check", str(posts), *named, "--least", "1"]) == 0
    assert data_main(["split", str(posts), *named, "--out", str(splits)]) == 0
    paths = {"posts": str(posts), "splits": str(splits), "taxonomy": str(taxonomy)}
    mine = recipe.model_copy(
        update={
            "precision": "fp32",
            "data": recipe.data.model_copy(update=paths),
            "finetune": recipe.finetune.model_copy(update={"members": 1}),
        }
    )
    (home / "own.toml").write_text(recipe_toml(mine))
    out = ["--out", str(home / "bundle"), "--runs", str(home / "runs"), "--no-tracking"]
    assert training_main(["run", "--recipe", str(home / "own.toml"), *out, "--measure", str(posts)]) == 0
    return Own(posts, taxonomy, home / "own.toml", load_bundle(home / "bundle"))


def test_the_bundle_has_learnt_them_and_carries_them(own: Own) -> None:
    assert own.bundle.taxonomy == OWN
    assert own.bundle.policy.no_reply_intents == ("chatter",)
    held_out = own.bundle.metrics["held_out"]["intent"]
    assert held_out["labels"] == list(OWN.names)
    assert held_out["accuracy"]["value"] > 0.8  # the largest of the four intents is 4 of 7 posts
    assert f"what it is about ({len(OWN.names)} intents)" in (own.bundle.directory / "README.md").read_text()


def test_the_predictor_names_them(own: Own) -> None:
    predictions = Predictor.load(own.bundle).predict(tiny_posts(14))
    said = [each.intent for each in predictions]
    true = [OWN_INTENT[post.intent] for post in tiny_posts(14)]
    assert sum(one == other for one, other in zip(said, true, strict=True)) >= 11


def test_evaluation_reads_posts_by_the_bundle(own: Own, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluation_main(["score", str(own.bundle.directory), str(own.posts)]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["intent"]["labels"] == list(OWN.names)


def test_the_server_answers_with_them(own: Own) -> None:
    predictor = Predictor.load(own.bundle)
    app = create_app(Settings(bundle=own.bundle.directory), lambda: predictor)
    with TestClient(app) as client:
        assert service_of(client).settled.wait(WAIT_S)
        answer = client.post("/v1/predict", json={"text": "where can i track my parcel and courier"}).json()
        assert client.get("/v1/model").json()["labels"]["intent"] == list(OWN.names)
    assert answer["intent"]["label"] == "where_is_it"
    assert {each["label"] for each in answer["intent"]["alternatives"]} <= set(OWN.names)
    assert answer["versions"]["taxonomy"] == "acme-1"


def test_a_recipe_without_the_taxonomy_is_told_which_intents_it_knows(
    own: Own, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = "\n".join(line for line in own.recipe.read_text().splitlines() if not line.startswith("taxonomy"))
    (tmp_path / "bare.toml").write_text(bare)
    assert training_main(["run", "--recipe", str(tmp_path / "bare.toml"), "--no-tracking"]) == 2
    assert "intent: got 'where_is_it'; wanted one of the 21 intents of taxonomy 1" in capsys.readouterr().err


def test_a_recipe_whose_taxonomy_is_missing_is_told_so(own: Own, capsys: pytest.CaptureFixture[str]) -> None:
    text = own.recipe.read_text()
    missing = own.taxonomy.with_name("missing.toml")
    other = own.recipe.with_name("other.toml")
    other.write_text(text.replace(str(own.taxonomy), str(missing)))
    assert training_main(["run", "--recipe", str(other), "--no-tracking"]) == 2
    assert f"The taxonomy {missing} cannot be used: No such file or directory" in capsys.readouterr().err
