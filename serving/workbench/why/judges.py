"""Who explains a decision: the model that made it where it is in memory, else the one in service, and this is said.

A model is the same where its graph is, byte for byte. What it decides depends on the policy as well, which is looked
for by its version: among the models in memory, then among those that people made in the journal.
"""

from dataclasses import dataclass

from models.bundle import MODEL_FILE
from models.policy import Policy, PolicyError
from models.predictor import Predictor
from serving.engine import ServedModel
from serving.journal.story import Story
from serving.lineup import Lineup


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What is asked why, and `caveat`, which says in words where it is not what decided; empty where it is."""

    predictor: Predictor
    caveat: str


def _is_maker(model: ServedModel, story: Story) -> bool:
    manifest = model.predictor.bundle.manifest
    return (manifest.model_version, manifest.files[MODEL_FILE]) == (story.post.model_version, story.model_sha256)


def policy_of(story: Story, lineup: Lineup, kept: Policy | None) -> Policy | None:
    """The policy that decided, as far as it is known here; `kept` is what the journal has of that name and model."""
    for model in lineup.models:
        for policy in (model.predictor.policy, model.own_policy):
            if _is_maker(model, story) and policy.version == story.post.policy_version:
                return policy
    return kept


def judge_of(story: Story, lineup: Lineup, policy: Policy | None) -> Judge:
    """What explains a decision; `policy` is the one that decided, where it is known."""
    decided = f"model {story.post.model_version} under policy {story.post.policy_version}"
    maker = next((model for model in lineup.models if _is_maker(model, story)), None)
    if maker is not None and policy is not None:
        try:
            return Judge(maker.predictor.under(policy), "")
        except PolicyError:  # one of the same name that was made for other intents
            pass
    if maker is not None:
        version = maker.predictor.policy.version
        return Judge(
            maker.predictor,
            f"This was decided by {decided}, and that policy is not known here any more. What follows asks the same "
            f"model under policy {version}.",
        )
    champion = lineup.champion
    return Judge(
        champion.predictor,
        f"This was decided by {decided}, and that model is not in memory here. What follows is what model "
        f"{champion.versions.model} under policy {champion.versions.policy}, which is in service now, makes of the "
        "same text. Why the other one decided as it did it cannot say.",
    )
