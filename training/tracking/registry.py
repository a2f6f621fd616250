"""The registered model `signalbox` and its two aliases: who is champion, who is challenger, and which bundle each is.

The order of things is the safety: a bundle is verified, packed, uploaded, read back and verified again, and only then
does a version name it, in one transaction. Whoever is killed on the way leaves an upload that nobody names, never a
version without its bundle; the same command again goes on. Whether a version deserves its alias is not decided here.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

from models.bundle import MANIFEST_FILE, Bundle, BundleError, load_bundle, sha256_of
from models.predictor import Predictor
from training.errors import RegistryError
from training.tracking.packing import BUNDLE_ARTIFACT, pack
from training.tracking.store import asking, experiment_id, open_store, tracking_uri

MODEL = "signalbox"
MANIFEST_TAG = "manifest_sha256"
"""On a version, and on the run that made its bundle: the one value that stands for every byte of the bundle."""
VERSION_TAG = "model_version"
Alias = Literal["champion", "challenger"]
ALIASES: tuple[Alias, ...] = get_args(Alias)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the registered model. `bundle` is the version that the bundle gives itself."""

    number: int
    bundle: str
    manifest_sha256: str
    aliases: tuple[str, ...]
    run_id: str | None


@dataclass(frozen=True, slots=True)
class _Store:
    """A store that has answered, and its name."""

    client: Any
    uri: str


def _open(uri: str | None, purpose: str) -> _Store:
    meant = tracking_uri(uri)
    return _Store(open_store(meant, purpose), meant)


def _version(found: Any) -> Version:
    return Version(
        number=int(found.version),
        bundle=found.tags.get(VERSION_TAG, "unknown"),
        manifest_sha256=found.tags.get(MANIFEST_TAG, "unknown"),
        aliases=tuple(sorted(found.aliases)),
        run_id=found.run_id or None,
    )


def _check_alias(alias: str) -> None:
    if alias not in ALIASES:
        raise RegistryError(f"No alias is called {alias!r}. Wanted: {' or '.join(ALIASES)}. Give one of these.")


def _search(store: _Store) -> Sequence[Any]:
    """Every version there is, oldest first; none where the model was never registered."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = store.client.search_model_versions(f"name = '{MODEL}'", max_results=1_000, page_token=token)
        found += page
        token = page.token
        if not token:
            # A search leaves the aliases out; asked one by one they are there.
            return sorted(found, key=lambda each: int(each.version))


def versions(*, uri: str | None = None) -> tuple[Version, ...]:
    """Every version of the registered model, oldest first.

    Raises:
        StoreError: when the store cannot be reached.
    """
    store = _open(uri, "Listing the registered versions")
    with asking(store.uri, "The versions could not be listed"):
        return tuple(_version(store.client.get_model_version(MODEL, each.version)) for each in _search(store))


def _get(store: _Store, number: int) -> Version:
    with asking(store.uri, f"Version {number} could not be looked up"):
        known = [int(each.version) for each in _search(store)]
        if number in known:
            return _version(store.client.get_model_version(MODEL, str(number)))
    there = ", ".join(map(str, known)) or "none"
    raise RegistryError(
        f"The registered model {MODEL} has no version {number}. Wanted one of: {there}. "
        "Give one of these, or register a bundle: python -m training register BUNDLE."
    )


def _find(store: _Store, alias: Alias) -> Version | None:
    with asking(store.uri, f"The alias {alias} could not be looked up"):
        found = store.client.search_registered_models(f"name = '{MODEL}'")
        number = dict(found[0].aliases).get(alias) if found else None
        return _version(store.client.get_model_version(MODEL, number)) if number else None


def find(alias: Alias, *, uri: str | None = None) -> Version | None:
    """The version that bears the alias, `None` where no version does.

    Raises:
        RegistryError: when there is no such alias.
        StoreError: when the store cannot be reached.
    """
    _check_alias(alias)
    return _find(_open(uri, "Looking up an alias"), alias)


def resolve(alias: Alias, *, uri: str | None = None) -> Version:
    """The version that bears the alias.

    Raises:
        RegistryError: when there is no such alias, or no version bears it.
        StoreError: when the store cannot be reached.
    """
    version = find(alias, uri=uri)
    if version is None:
        raise RegistryError(
            f"No version of the registered model {MODEL} in {tracking_uri(uri)} is {alias}. Wanted: one that is. "
            "Register a bundle (python -m training register BUNDLE), or name another store by MLFLOW_TRACKING_URI."
        )
    return version


def point(alias: Alias, number: int, *, uri: str | None = None) -> Version:
    """Version `number`, which then bears the alias; whichever bore it before does so no more. One transaction.

    Raises:
        RegistryError: when there is no such alias or no such version.
        StoreError: when the store cannot be reached; the alias is then where it was.
    """
    _check_alias(alias)
    store = _open(uri, "Moving an alias")
    _get(store, number)
    with asking(store.uri, f"The alias {alias} could not be moved"):
        store.client.set_registered_model_alias(MODEL, alias, str(number))
    return _get(store, number)


def _run_of(store: _Store, manifest_sha256: str) -> str | None:
    """The run that made the bundle, where this store knows it."""
    found = store.client.search_runs([experiment_id(store.client)], f"tags.{MANIFEST_TAG} = '{manifest_sha256}'")
    return str(found[0].info.run_id) if found else None


def _download(store: _Store, location: str, to: Path) -> Bundle:
    """The bundle of a packed model at `location`, in the new directory `to`, verified."""
    from mlflow import artifacts

    with TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as scratch:
        with asking(store.uri, "A bundle could not be downloaded"):
            place = f"{location.rstrip('/')}/artifacts/{BUNDLE_ARTIFACT}"
            got = Path(artifacts.download_artifacts(place, dst_path=scratch, tracking_uri=store.uri))
        load_bundle(got)
        got.rename(to)
    return load_bundle(to)


def _upload(store: _Store, bundle: Bundle, run_id: str | None) -> Any:
    """The logged model that holds the bundle, complete: what was uploaded was read back and verified."""
    from mlflow.models import Model

    manifest = bundle.manifest
    with TemporaryDirectory() as scratch, asking(store.uri, "The bundle could not be uploaded"):
        packed = Path(scratch) / "model"
        logged = store.client.create_logged_model(
            experiment_id(store.client), name=MODEL, source_run_id=run_id, tags={VERSION_TAG: manifest.model_version}
        )
        about = Model(run_id=run_id, model_uuid=logged.model_id, model_id=logged.model_id)
        pack(bundle, packed, about=about)
        store.client.log_model_artifacts(logged.model_id, str(packed))
        _download(store, logged.artifact_location, Path(scratch) / "back")
        return store.client.finalize_logged_model(logged.model_id, "READY")


def _make(store: _Store, bundle: Bundle, run_id: str | None, manifest_sha256: str) -> int:
    """The number of the new version, which names what was uploaded before."""
    from mlflow.exceptions import MlflowException

    manifest, logged = bundle.manifest, _upload(store, bundle, run_id)
    with asking(store.uri, "The version could not be registered"):
        if not store.client.search_registered_models(f"name = '{MODEL}'"):
            try:
                store.client.create_registered_model(MODEL, description="Who should handle a customer post.")
            except MlflowException:  # somebody else may have made it in between
                store.client.get_registered_model(MODEL)
        made = store.client.create_model_version(
            MODEL,
            source=logged.artifact_location,
            run_id=run_id,
            model_id=logged.model_id,
            tags={
                MANIFEST_TAG: manifest_sha256,
                VERSION_TAG: manifest.model_version,
                "data_fingerprint": manifest.data_fingerprint,
                "git_commit": manifest.git_commit,
                "taxonomy": manifest.taxonomy,
                "rendering": manifest.rendering,
                "precision": manifest.precision,
            },
        )
    return int(made.version)


def register(directory: Path, alias: Alias | None = None, *, uri: str | None = None) -> Version:
    """The version that holds the bundle in `directory`, which then bears `alias` where one is given.

    A bundle that is registered already keeps its version.

    Raises:
        BundleError: when the bundle is incomplete, changed, or does not compute what it must; nothing is registered.
        RegistryError: when there is no such alias.
        StoreError: when the store cannot be reached or refuses; no version names an incomplete bundle.
    """
    if alias is not None:
        _check_alias(alias)
    bundle = load_bundle(directory)
    Predictor.load(bundle)  # which tries its golden posts
    manifest_sha256 = sha256_of(directory / MANIFEST_FILE)
    store = _open(uri, "Registering a bundle")
    with asking(store.uri, "The registered versions could not be read"):
        same = [int(each.version) for each in _search(store) if each.tags.get(MANIFEST_TAG) == manifest_sha256]
        run_id = _run_of(store, manifest_sha256)
    number = same[-1] if same else _make(store, bundle, run_id, manifest_sha256)
    return point(alias, number, uri=store.uri) if alias else _get(store, number)


def download(which: Alias | int, to: Path, *, uri: str | None = None) -> Bundle:
    """The bundle of a version, or of the one that bears an alias, in the new directory `to`, verified.

    Raises:
        RegistryError: when there is no such alias or version, or `to` exists.
        BundleError: when what is stored there is not the bundle that was registered; `to` is then not made.
        StoreError: when the store cannot be reached.
    """
    if to.exists():
        raise RegistryError(f"A bundle cannot be downloaded to {to}: it exists. Wanted: a new directory. Name another.")
    store = _open(uri, "Downloading a bundle")
    version = _get(store, which) if isinstance(which, int) else resolve(which, uri=store.uri)
    with asking(store.uri, f"Version {version.number} could not be found"):
        location = store.client.get_model_version_download_uri(MODEL, str(version.number))
    to.parent.mkdir(parents=True, exist_ok=True)
    bundle = _download(store, location, to)
    if sha256_of(to / MANIFEST_FILE) != version.manifest_sha256:
        shutil.rmtree(to)
        raise BundleError(
            f"Version {version.number} of {MODEL} holds another bundle than was registered: its manifest has another "
            f"SHA-256 than {version.manifest_sha256}. Register the bundle again from its source."
        )
    return bundle
