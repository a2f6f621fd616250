"""From settings to a predictor in memory: where a bundle may lie, the bundle verified, the policy override checked."""

from pathlib import Path

from pydantic import ValidationError

from models.bundle import BundleError, load_bundle
from models.guards import Guards, LanguageDetector
from models.policy import Policy, PolicyError
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


def load_predictor(settings: Settings, directory: Path | None = None, guards: Guards | None = None) -> Predictor:
    """The predictor of the bundle in `directory`, by default the settings' own, under the policy that they name.

    `guards` shares a language model that is in memory already. The policy file is read anew each time.

    Raises:
        BundleError: when the bundle cannot be trusted.
        SettingsError: when the policy file cannot be used.
    """
    guards = guards or Guards(LanguageDetector())  # first, since it unpacks its model while the rest is read
    bundle = load_bundle(directory or settings.bundle)
    policy = read_policy(settings.policy, bundle.policy) if settings.policy else None
    try:
        return Predictor.load(bundle, policy=policy, guards=guards)
    except PolicyError as error:
        raise SettingsError(f"The policy file {settings.policy} cannot be used: {error}") from None


def reload_directory(settings: Settings, bundle: str | None) -> Path:
    """The directory that a reload of `bundle` reads, every symbolic link followed; `None` is the settings' own.

    Links are followed before anything is read, so that one that is turned meanwhile does not mix two bundles.

    Raises:
        BundleError: when it is not within the directory that bundles may be loaded from.
    """
    if bundle is None:
        return settings.bundle.resolve()
    root = (settings.bundles_root or settings.bundle.absolute().parent).resolve()
    try:
        directory = (root / bundle).resolve()
        allowed = directory.is_relative_to(root)
    except (OSError, ValueError):  # a name that is too long, or no name at all
        allowed = False
    if not allowed:
        raise BundleError(
            f"The bundle cannot be loaded from where it was asked for: that is not within {root}. Wanted: a directory "
            "within it. Copy the bundle there, or set SIGNALBOX_BUNDLES_ROOT and start the server again."
        )
    return directory
