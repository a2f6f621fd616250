import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from data.taxonomy import BUILT_IN, PLATFORMS, ROUTES
from models.policy import Policy
from serving.wire import EXAMPLE_POST
from tests.serving.clients import Serve

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")

POSTS = st.fixed_dictionaries(
    {"text": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)},
    optional={
        "id": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        "platform": st.sampled_from(PLATFORMS),
        "author": st.fixed_dictionaries(
            {}, optional={"followers": st.integers(0, 10**10), "verified": st.booleans(), "bio": st.none()}
        ),
        "reach": st.fixed_dictionaries({}, optional={"reposts": st.integers(0, 10**10)}),
        "posted_at": st.datetimes().map(lambda when: when.replace(year=min(when.year, 2099)).isoformat() + "Z"),
    },
)


def predict(client: TestClient, **post: Any) -> Any:
    response = client.post("/v1/predict", json=post)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_example_of_the_design_is_answered_as_written(client: TestClient) -> None:
    answer = predict(client, **EXAMPLE_POST)
    assert ULID.fullmatch(answer.pop("prediction_id"))
    assert answer == {
        "id": "1059",
        "route": {
            "label": "simple",
            "confidence": 0.998995,
            "probabilities": {"simple": 0.998995, "complex": 0.000335, "sensitive": 0.000335, "influencer": 0.000335},
        },
        "intent": {
            "label": "order_status",
            "confidence": 0.993335,
            "alternatives": [
                {"label": "order_status", "probability": 0.993335},
                {"label": "product_info", "probability": 0.000333},
                {"label": "store_info", "probability": 0.000333},
            ],
        },
        "decision": {
            "action": "auto_answer",
            "queue": "auto",
            "abstained": False,
            "move_to_private": False,
            "reasons": [{"code": "simple_over_threshold", "detail": "simple 0.999 >= 0.900"}],
        },
        "due": {"acknowledge_by": "2026-11-22T09:15:00Z", "resolve_by": "2026-11-22T10:00:00Z"},
        "truncated": False,
        "versions": {"model": "2026.11.22+fake00", "policy": "7", "taxonomy": "1", "rendering": "1"},
    }


def test_only_text_is_required(client: TestClient) -> None:
    answer = predict(client, text="where is my parcel?")
    assert answer["id"] is None
    assert answer["due"] is None


def test_due_keeps_the_zone_of_the_post_and_gives_other_routes_two_days(client: TestClient) -> None:
    answer = predict(client, text="still nothing", posted_at="2026-11-22T09:00:00+05:30")
    assert answer["due"] == {
        "acknowledge_by": "2026-11-22T09:15:00+05:30",
        "resolve_by": "2026-11-24T09:00:00+05:30",
    }


def test_exposed_data_is_moved_to_private(client: TestClient) -> None:
    answer = predict(client, text="parcel? my card is 4111 1111 1111 1111")
    assert answer["decision"]["action"] == "specialist"
    assert answer["decision"]["move_to_private"] is True
    assert "4111" not in str(answer)


def test_a_post_longer_than_the_model_reads_is_said_to_be_truncated(client: TestClient) -> None:
    answer = predict(client, text="parcel " * 400)
    assert answer["truncated"] is True
    assert answer["decision"]["action"] == "agent"


def test_an_override_policy_decides_and_is_named(serve: Serve) -> None:
    with serve(override=Policy(version="8")) as client:
        answer = predict(client, text="where is my parcel?")
        assert answer["versions"]["policy"] == "8"
        assert answer["decision"]["action"] == "agent"
        assert answer["decision"]["abstained"] is True
        assert client.get("/v1/model").json()["policy_source"] == "override"


@given(post=POSTS)
def test_every_valid_post_gets_a_complete_answer(client: TestClient, post: dict[str, Any]) -> None:
    answer = predict(client, **post)
    probabilities = answer["route"]["probabilities"]
    assert tuple(probabilities) == ROUTES
    assert abs(sum(probabilities.values()) - 1) < 1e-5
    assert answer["route"]["confidence"] == probabilities[answer["route"]["label"]] == max(probabilities.values())
    alternatives = answer["intent"]["alternatives"]
    assert len(alternatives) == 3
    assert {each["label"] for each in alternatives} <= set(BUILT_IN.names)
    assert alternatives[0] == {"label": answer["intent"]["label"], "probability": answer["intent"]["confidence"]}
    assert answer["decision"]["reasons"]
    assert answer["id"] == post.get("id")
    assert (answer["due"] is None) == ("posted_at" not in post)


@settings(max_examples=25)
@given(posts=st.lists(POSTS, min_size=1, max_size=6))
def test_a_batch_answers_each_post_as_if_it_were_alone_and_in_order(
    client: TestClient, posts: list[dict[str, Any]]
) -> None:
    response = client.post("/v1/predict/batch", json={"posts": posts})
    assert response.status_code == 200
    results = response.json()["results"]
    assert len({result["prediction_id"] for result in results}) == len(posts)
    for post, result in zip(posts, results, strict=True):
        assert result | {"prediction_id": ""} == predict(client, **post) | {"prediction_id": ""}


def test_a_batch_of_256_posts_is_answered(client: TestClient) -> None:
    posts = [{"id": str(number), "text": "where is my parcel?"} for number in range(256)]
    results = client.post("/v1/predict/batch", json={"posts": posts}).json()["results"]
    assert [result["id"] for result in results] == [post["id"] for post in posts]


def test_a_batch_with_one_bad_post_is_refused_as_a_whole(client: TestClient) -> None:
    response = client.post("/v1/predict/batch", json={"posts": [{"text": "thanks"}, {"text": ""}]})
    assert response.status_code == 422
    assert "results" not in response.json()
    assert response.json()["error"]["details"][0]["field"] == "posts.1.text"


def test_the_model_route_says_what_is_in_service(client: TestClient) -> None:
    answer = client.get("/v1/model").json()
    assert answer["versions"] == predict(client, text="thanks")["versions"]
    assert answer["labels"] == {"route": list(ROUTES), "intent": list(BUILT_IN.names)}
    assert answer["policy_source"] == "bundle"
    assert answer["thresholds"]["simple"] == 0.9
    assert answer["budget"]["leak_sensitive"] == 0.02
    assert answer["certificates"] == []
    assert answer["guards"]["followers"] == 50_000
    assert answer["limits"]["batch_posts"] == 256


def test_a_prediction_has_the_name_of_no_vip_in_what_the_model_route_says(serve: Serve) -> None:
    policy = Policy(version="9")
    named = policy.model_copy(update={"guards": policy.guards.model_copy(update={"vip_handles": ("@grandduchess",)})})
    with serve(override=named) as client:
        answer = client.get("/v1/model")
        assert answer.json()["guards"]["vip_handles"] == 1
        assert "grandduchess" not in answer.text


def test_a_sane_request_id_is_given_back_and_any_other_replaced(client: TestClient) -> None:
    for sent, kept in (("crm-1059:a.b_c", True), ("two words", False), ("x" * 129, False), ("", False)):
        given_back = client.get("/healthz", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
        assert (given_back == sent) is kept
        assert kept or ULID.fullmatch(given_back)


def test_an_answer_says_where_its_time_went(serve: Serve) -> None:
    with serve() as client:
        for known in (False, True):
            said = client.post("/v1/predict", json={"text": "where is my parcel?"}).headers["Server-Timing"]
            parts = dict(part.split(";dur=") for part in said.split(", "))
            spent = {name: float(value) for name, value in parts.items()}
            assert list(spent) == ["queue", "read", "infer", "decide", "total"]
            assert (spent["infer"] == 0) is known
            assert sum(spent.values()) - spent["total"] <= spent["total"] + 0.01
        assert "Server-Timing" not in client.get("/healthz").headers
        assert "Server-Timing" not in client.post("/v1/predict", json={}).headers
