"""A bundle: one directory with everything that serves, verified byte for byte when it is loaded.

Holds no pickle and no module path: JSON, TOML, Markdown, one ONNX graph and one tokenizer file. Owns the layout
(the design's section 3, "Bundle"); what the parts mean stands in the modules that read them.
"""

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from data.rendering import RENDERING_VERSION
from data.taxonomy import BUILT_IN, ROUTES, Taxonomy
from models.calibration import Calibration
from models.golden import Golden
from models.policy import Policy, PolicyError, check_intents

BUNDLE_FORMAT = "1"
DEFAULT_BUNDLE = Path("models/default")
MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
LABELS_FILE = "labels.json"
CALIBRATION_FILE = "calibration.json"
POLICY_FILE = "policy.json"
METRICS_FILE = "metrics.json"
RECIPE_FILE = "recipe.toml"
CARD_FILE = "README.md"
GOLDEN_FILE = "golden.json"
"""A bundle may lack it: those written before there were golden posts do (docs/decisions/0011)."""
TAXONOMY_FILE = "taxonomy.json"
"""A bundle with the built-in intents lacks it (docs/decisions/0024)."""
FILES = (
    MODEL_FILE,
    TOKENIZER_FILE,
    LABELS_FILE,
    CALIBRATION_FILE,
    POLICY_FILE,
    METRICS_FILE,
    RECIPE_FILE,
    CARD_FILE,
)
MAY_LACK = (GOLDEN_FILE, TAXONOMY_FILE)

_SPECIAL_TOKENS = 3
"""What a pair costs beside its texts: `[CLS]`, `[SEP]` and `[SEP]`."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
AnyValue = TypeVar("AnyValue")


class BundleError(Exception):
    """A bundle that cannot be trusted: incomplete, changed, or made for another program."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Encoder(_Value):
    """The pretrained encoder that was fine-tuned."""

    name: str
    sha256: Sha256


class Reading(_Value):
    """How a post becomes windows of tokens, and how much of a long post is read. All figures are tokens."""

    window_tokens: Annotated[int, Field(ge=16, le=512)] = 256
    overlap_tokens: Annotated[int, Field(ge=0)] = 48
    context_tokens: Annotated[int, Field(ge=1)] = 80
    max_windows: Annotated[int, Field(ge=1)] = 8

    @model_validator(mode="after")
    def _every_window_reads_on(self) -> Self:
        text_tokens = self.window_tokens - self.context_tokens - _SPECIAL_TOKENS
        if self.overlap_tokens >= text_tokens:
            raise ValueError(
                f"an overlap under the {text_tokens} tokens of text that fit beside the context, got "
                f"{self.overlap_tokens}; widen window_tokens or lower overlap_tokens or context_tokens"
            )
        return self


class Manifest(_Value):
    """What the bundle is, what it was made from, and the SHA-256 of every other file in it."""

    format: str = BUNDLE_FORMAT
    model_version: Annotated[str, Field(min_length=1)]
    created_at: AwareDatetime
    rendering: str = RENDERING_VERSION
    taxonomy: str
    precision: Literal["fp32", "int8"]
    encoder: Encoder
    git_commit: str
    data_fingerprint: str
    reading: Reading = Reading()
    files: dict[str, Sha256] = {}


class _Versions(BaseModel):
    """The versions of a manifest alone: read first, whatever fields a later format may add beside them."""

    format: str
    rendering: str


class Labels(_Value):
    """The labels in the order in which the logits stand."""

    route: tuple[str, ...]
    intent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle. `metrics` is the content of `metrics.json` as it was measured."""

    directory: Path
    manifest: Manifest
    taxonomy: Taxonomy
    calibration: Calibration
    policy: Policy
    metrics: dict[str, Any]
    golden: Golden | None = None

    @property
    def model_path(self) -> Path:
        """Where the ONNX graph is."""
        return self.directory / MODEL_FILE

    @property
    def tokenizer_path(self) -> Path:
        """Where the tokenizer is."""
        return self.directory / TOKENIZER_FILE


@dataclass(frozen=True, slots=True)
class BundleParts:
    """What a bundle is written from. `model` and `tokenizer` are files to copy; the manifest's hashes are filled in."""

    manifest: Manifest
    model: Path
    tokenizer: Path
    calibration: Calibration
    policy: Policy
    metrics: dict[str, Any]
    recipe: str
    card: str
    golden: Golden | None = None
    taxonomy: Taxonomy = BUILT_IN


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_bundle(directory: Path, parts: BundleParts) -> Bundle:
    """The bundle written to `directory` and loaded back from there. An older bundle there is replaced as a whole.

    Raises:
        BundleError: when what was written does not verify.
        OSError: when it cannot be written.
        ValueError: when a metric is not a finite number.

    `directory` is then as it was.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir(mode=0o755)
        shutil.copyfile(parts.model, new / MODEL_FILE)
        shutil.copyfile(parts.tokenizer, new / TOKENIZER_FILE)
        texts = {
            LABELS_FILE: _json({"route": ROUTES, "intent": parts.taxonomy.names}),
            CALIBRATION_FILE: _json(parts.calibration.model_dump(mode="json")),
            POLICY_FILE: _json(parts.policy.model_dump(mode="json")),
            METRICS_FILE: _json(parts.metrics),
            RECIPE_FILE: parts.recipe,
            CARD_FILE: parts.card,
        }
        if parts.golden is not None:
            texts[GOLDEN_FILE] = _json(parts.golden.model_dump(mode="json"))
        if parts.taxonomy != BUILT_IN:
            texts[TAXONOMY_FILE] = _json(parts.taxonomy.model_dump(mode="json"))
        for name, text in texts.items():
            (new / name).write_text(text, encoding="utf-8")
        files = {name: sha256_of(new / name) for name in (MODEL_FILE, TOKENIZER_FILE, *texts)}
        manifest = parts.manifest.model_copy(update={"files": files})
        (new / MANIFEST_FILE).write_text(_json(manifest.model_dump(mode="json")), encoding="utf-8")
        load_bundle(new)
        _replace(directory, new, keep=Path(scratch) / "old")
    return load_bundle(directory)


def _replace(directory: Path, new: Path, keep: Path) -> None:
    if directory.exists():
        directory.rename(keep)
    try:
        new.rename(directory)
    except OSError:
        if keep.exists():
            keep.rename(directory)
        raise


def _read(directory: Path, name: str, kind: type[AnyValue]) -> AnyValue:
    try:
        return TypeAdapter(kind).validate_json((directory / name).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise BundleError(
            f"Bundle file {directory / name} is not valid: {place} is {first.get('input')!r:.80}; "
            f"wanted: {first['msg']}. Restore the file from its source, or retrain the bundle."
        ) from None


def _check_files(directory: Path, manifest: Manifest) -> None:
    if set(manifest.files) - set(MAY_LACK) != set(FILES):
        raise BundleError(
            f"The manifest of bundle {directory} lists {sorted(manifest.files)}, wanted {sorted(FILES)} "
            f"and at most {' and '.join(MAY_LACK)} beside them. "
            "Use a bundle written by this version, or retrain it."
        )
    for name, wanted in manifest.files.items():
        path = directory / name
        if not path.is_file():
            raise BundleError(
                f"Bundle {directory} lacks the file {name}; its manifest lists {len(manifest.files)} files. "
                "Copy the whole directory again."
            )
        got = sha256_of(path)
        if got != wanted:
            raise BundleError(
                f"Bundle file {path} was changed: SHA-256 {got}, the manifest says {wanted}. "
                "Copy the bundle again from its source; never edit a file in place."
            )


def _check_versions(directory: Path, versions: _Versions) -> None:
    for what, got, wanted in (
        ("format", versions.format, BUNDLE_FORMAT),
        ("rendering", versions.rendering, RENDERING_VERSION),
    ):
        if got != wanted:
            raise BundleError(
                f"Bundle {directory} has {what} version {got!r}, this program reads version {wanted!r}. "
                "Serve it with the Signalbox release that wrote it, or retrain the bundle."
            )


def _read_taxonomy(directory: Path, manifest: Manifest) -> Taxonomy:
    has_own = TAXONOMY_FILE in manifest.files
    taxonomy = _read(directory, TAXONOMY_FILE, Taxonomy) if has_own else BUILT_IN
    if taxonomy.version != manifest.taxonomy:
        file = f"a {TAXONOMY_FILE} of version {taxonomy.version!r}" if has_own else f"no {TAXONOMY_FILE}"
        raise BundleError(
            f"Bundle {directory} cannot be read: it is of taxonomy {manifest.taxonomy!r} and has {file}. Wanted: a "
            f"{TAXONOMY_FILE} of that version, or none and version {BUILT_IN.version!r}, which is built in. "
            "Copy the whole directory again, or update Signalbox to a release that knows it."
        )
    return taxonomy


def _check_labels(directory: Path, taxonomy: Taxonomy) -> None:
    labels = _read(directory, LABELS_FILE, Labels)
    for head, got, wanted in (("route", labels.route, ROUTES), ("intent", labels.intent, taxonomy.names)):
        for place, (one, other) in enumerate(zip_longest(got, wanted)):
            if one != other:
                raise BundleError(
                    f"The labels of bundle {directory} are not those of taxonomy {taxonomy.version}: {head} label "
                    f"{place} is {one!r}, wanted {other!r}. Restore {LABELS_FILE} from its source, or retrain the "
                    "bundle."
                )


def _read_policy(directory: Path, taxonomy: Taxonomy) -> Policy:
    policy = _read(directory, POLICY_FILE, Policy)
    try:
        check_intents(policy, taxonomy)
    except PolicyError as error:
        raise BundleError(f"Bundle {directory} cannot be read: {error}") from None
    return policy


def _read_golden(directory: Path, taxonomy: Taxonomy) -> Golden:
    golden = _read(directory, GOLDEN_FILE, Golden)
    for each in golden.posts:
        odd = sorted(set(each.intents) ^ set(taxonomy.intents))
        if odd:
            raise BundleError(
                f"Bundle file {directory / GOLDEN_FILE} is not valid: golden post {each.post.id} and taxonomy "
                f"{taxonomy.version} do not both have the intent {odd[0]!r}. Wanted a probability for every intent, "
                "and for no other. Restore the file from its source, or retrain the bundle."
            )
    return golden


def load_bundle(directory: Path) -> Bundle:
    """The bundle in `directory`, every file checked against the manifest.

    Raises:
        BundleError: when a file is missing, changed or not valid, or a version is not this program's.
    """
    if not (directory / MANIFEST_FILE).is_file():
        raise BundleError(
            f"No bundle in {directory}: there is no {MANIFEST_FILE}. Wanted: a directory written by "
            "`python -m training run`. Give the path of one."
        )
    _check_versions(directory, _read(directory, MANIFEST_FILE, _Versions))
    manifest = _read(directory, MANIFEST_FILE, Manifest)
    _check_files(directory, manifest)
    taxonomy = _read_taxonomy(directory, manifest)
    _check_labels(directory, taxonomy)
    return Bundle(
        directory=directory,
        manifest=manifest,
        taxonomy=taxonomy,
        calibration=_read(directory, CALIBRATION_FILE, Calibration),
        policy=_read_policy(directory, taxonomy),
        metrics=_read(directory, METRICS_FILE, dict[str, Any]),
        golden=_read_golden(directory, taxonomy) if GOLDEN_FILE in manifest.files else None,
    )


def model_version(created_at: datetime, model_sha256: str) -> str:
    """The name of a model: the day it was made and the head of its graph's hash, as `2026.11.22+3fa1c2`."""
    return f"{created_at:%Y.%m.%d}+{model_sha256[:6]}"
