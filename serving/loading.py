"""From settings to a predictor in memory: the bundle verified, the policy override checked."""

from pathlib import Path

from pydantic import ValidationError

from models.bundle import load_bundle
from models.policy import Policy
from models.predictor import Predictor
from serving.settings import Settings, SettingsError


def read_policy(path: Path, replaced: Policy) -> Policy:
    """The policy of an override file. It must carry a version of its own where it differs from the one it replaces.

    Raises:
        SettingsError: when it cannot be read, is not a policy, or is another policy under the same version.
    """
    try:
        policy = Policy.model_validate_json(path.read_bytes())
    except OSError as error:
        got, wanted = error.strerror or "nothing", "a file that can be read"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        got, wanted = f"{place} is {first['input']!r:.80}", first["msg"]
    else:
        if policy == replaced or policy.version != replaced.version:
            return policy
        got, wanted = f"version {policy.version!r}, which the bundle's own has too", "a version of its own"
    raise SettingsError(
        f"The policy file {path} cannot be used: {got}; wanted: {wanted}. Correct the file (start from policy.json of "
        "the bundle) or unset SIGNALBOX_POLICY."
    )


def load_predictor(settings: Settings) -> Predictor:
    """The predictor of the bundle and policy that the settings name.

    Raises:
        BundleError: when the bundle cannot be trusted.
        SettingsError: when the policy file cannot be used.
    """
    bundle = load_bundle(settings.bundle)
    policy = read_policy(settings.policy, bundle.policy) if settings.policy else None
    return Predictor.load(bundle, policy=policy)
