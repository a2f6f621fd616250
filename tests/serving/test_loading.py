import json
from pathlib import Path

import pytest

from models.policy import Policy, Thresholds
from serving.loading import read_policy
from serving.settings import SettingsError

OWN = Policy(version="3")


def write(path: Path, policy: Policy) -> Path:
    path.write_text(policy.model_dump_json())
    return path


def test_an_override_with_a_version_of_its_own_is_taken(tmp_path: Path) -> None:
    bold = Policy(version="3-bold", thresholds=Thresholds(simple=0.5, answer_nothing=False))
    assert read_policy(write(tmp_path / "policy.json", bold), OWN) == bold


def test_an_override_that_changes_nothing_is_taken(tmp_path: Path) -> None:
    assert read_policy(write(tmp_path / "policy.json", OWN), OWN) == OWN


def test_another_policy_under_the_same_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "policy.json", OWN.model_copy(update={"thresholds": Thresholds(simple=0.5)}))
    with pytest.raises(SettingsError) as refused:
        read_policy(path, OWN)
    assert str(refused.value) == (
        f"The policy file {path} cannot be used: version '3', which the bundle's own has too; wanted: a version of "
        "its own. Correct the file (start from policy.json of the bundle) or unset SIGNALBOX_POLICY."
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "the whole file"),
        (json.dumps({"thresholds": {"simple": 2}}), "thresholds.simple is 2; wanted: Input should be less than"),
        (
            json.dumps({"guards": {"followers": 10_000_000_001}}),
            "guards.followers is 10000000001; wanted: Input should be less than or equal to 10000000000",
        ),
        (json.dumps({"guards": {"reposts": 10**11}}), "guards.reposts is 100000000000; wanted: Input should be less"),
        (json.dumps({"treshold": 1}), "treshold is 1; wanted: Extra inputs are not permitted"),
    ],
)
def test_a_policy_file_that_is_no_policy_is_refused_with_its_place(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(content)
    with pytest.raises(SettingsError) as refused:
        read_policy(path, OWN)
    assert problem in str(refused.value)


def test_a_policy_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_policy(tmp_path / "policy.json", OWN)
