"""A bundle is written whole and verified byte for byte, or refused with four facts."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data.post import Post
from data.taxonomy import BUILT_IN, ROUTES
from models.bundle import (
    FILES,
    GOLDEN_FILE,
    Bundle,
    BundleError,
    BundleParts,
    Encoder,
    Manifest,
    Reading,
    load_bundle,
    model_version,
    sha256_of,
    write_bundle,
)
from models.calibration import Calibration
from models.golden import Golden, record
from models.policy import Certificate, Policy, PolicyError, Template, Thresholds
from models.predictor import Predictor
from tests.data.own_taxonomy import OWN
from tests.fakes import BOLD_POLICY, fake_predictor
from tests.models.tiny_bundle import write_tiny_bundle
from tests.models.tiny_model import Meaning, write_tiny_model

CREATED = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SHA_OF_HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
"""Of the five letters, as `printf hello | sha256sum` says."""

Damage = Callable[[Path], None]


@pytest.fixture
def parts(tmp_path: Path) -> BundleParts:
    model, tokenizer = tmp_path / "graph", tmp_path / "words"
    model.write_bytes(b"\x08\x09graph")
    tokenizer.write_text('{"version": "1.0"}')
    policy = Policy(
        version="3",
        thresholds=Thresholds(simple=0.93, intent=0.4, sensitive=0.07, influencer=0.2, answer_nothing=False),
        inventory=(Template(intent="how_to", platform="x", lang="en", approved=True, valid_until=CREATED.date()),),
        certificates=(
            Certificate(
                risk="leak_sensitive",
                budget=0.02,
                confidence=0.95,
                events=0,
                trials=149,
                p_value=0.049,
                upper_bound=0.0199,
                certified=True,
            ),
        ),
    )
    return BundleParts(
        manifest=Manifest(
            model_version="2026.11.22+3fa1c2",
            created_at=CREATED,
            taxonomy="1",
            precision="int8",
            encoder=Encoder(name="tiny", sha256="0" * 64),
            git_commit="3fa1c2",
            data_fingerprint="abc",
            reading=Reading(window_tokens=64, overlap_tokens=8, context_tokens=20, max_windows=2),
        ),
        model=model,
        tokenizer=tokenizer,
        calibration=Calibration(route_temperature=1.7, intent_temperature=0.8),
        policy=policy,
        metrics={"macro_f1": 0.72, "slices": [{"lang": "de", "f1": None}]},
        recipe='encoder = "tiny"\n',
        card="# A card\n\n\u201cWritten\u201d by a test.\n",
    )


@pytest.fixture
def bundle(parts: BundleParts, tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "bundle", parts)


def golden() -> Golden:
    post = Post(id="g-1", text="where is my parcel?")
    return record([post], fake_predictor().predict([post]), BOLD_POLICY, CREATED)


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def change(path: Path, **values: object) -> None:
    """Sets fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def resign(directory: Path) -> None:
    """Makes the manifest agree with the files, as somebody would who means to."""
    names = json.loads((directory / "manifest.json").read_text())["files"]
    change(directory / "manifest.json", files={name: sha256_of(directory / name) for name in names})


def refusal(directory: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(directory)
    return str(caught.value)


def test_what_was_written_is_what_is_loaded(bundle: Bundle, parts: BundleParts) -> None:
    again = load_bundle(bundle.directory)
    assert again == bundle
    assert again.calibration == parts.calibration
    assert again.policy == parts.policy
    assert again.metrics == parts.metrics
    assert again.taxonomy == BUILT_IN
    assert again.manifest.model_copy(update={"files": {}}) == parts.manifest
    assert again.model_path.read_bytes() == parts.model.read_bytes()
    assert again.tokenizer_path.read_bytes() == parts.tokenizer.read_bytes()
    assert (again.directory / "recipe.toml").read_text(encoding="utf-8") == parts.recipe
    assert (again.directory / "README.md").read_text(encoding="utf-8") == parts.card


def test_a_bundle_is_nine_files_and_the_manifest_signs_the_other_eight(bundle: Bundle) -> None:
    assert set(files_of(bundle.directory)) == {*FILES, "manifest.json"}
    assert bundle.manifest.files == {name: sha256_of(bundle.directory / name) for name in FILES}


def test_the_labels_are_written_in_the_order_of_the_logits(bundle: Bundle) -> None:
    labels = json.loads((bundle.directory / "labels.json").read_text())
    assert labels == {"route": list(ROUTES), "intent": list(BUILT_IN.names)}


def test_the_same_parts_give_the_same_bytes(bundle: Bundle, parts: BundleParts, tmp_path: Path) -> None:
    assert files_of(write_bundle(tmp_path / "deep" / "other", parts).directory) == files_of(bundle.directory)


def test_anybody_may_read_a_bundle_and_nothing_else_is_left_behind(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.directory.stat().st_mode & 0o777 == 0o755
    assert {path.name for path in tmp_path.iterdir()} == {"graph", "words", "bundle"}


def test_a_new_bundle_replaces_the_old_one_as_a_whole(bundle: Bundle, parts: BundleParts) -> None:
    (bundle.directory / "stray.txt").write_text("of the old one")
    write_bundle(bundle.directory, replace(parts, card="# Another\n"))
    assert set(files_of(bundle.directory)) == {*FILES, "manifest.json"}
    assert (bundle.directory / "README.md").read_text() == "# Another\n"


def test_golden_posts_are_a_tenth_file_signed_like_the_others(parts: BundleParts, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", replace(parts, golden=golden()))
    assert set(bundle.manifest.files) == {*FILES, GOLDEN_FILE}
    assert load_bundle(bundle.directory).golden == golden()
    (bundle.directory / GOLDEN_FILE).unlink()
    assert refusal(bundle.directory) == (
        f"Bundle {bundle.directory} lacks the file golden.json; its manifest lists 9 files. "
        "Copy the whole directory again."
    )


@pytest.mark.parametrize("posts", [[], [{"post": {"text": "thanks"}, "routes": {}, "intents": {}}]])
def test_golden_posts_that_are_none_are_refused(posts: list[object], parts: BundleParts, tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle", replace(parts, golden=golden())).directory
    change(directory / GOLDEN_FILE, posts=posts)
    change(directory / "manifest.json", files={name: sha256_of(directory / name) for name in (*FILES, GOLDEN_FILE)})
    assert refusal(directory).startswith(f"Bundle file {directory / GOLDEN_FILE} is not valid: posts")


def _without_a_graph(parts: BundleParts) -> BundleParts:
    return replace(parts, model=parts.model.with_name("nowhere"))


def _with_an_endless_metric(parts: BundleParts) -> BundleParts:
    return replace(parts, metrics={"macro_f1": float("nan")})


def _for_another_rendering(parts: BundleParts) -> BundleParts:
    return replace(parts, manifest=parts.manifest.model_copy(update={"rendering": "0"}))


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_without_a_graph, FileNotFoundError),
        (_with_an_endless_metric, ValueError),
        (_for_another_rendering, BundleError),
    ],
)
def test_a_failed_write_leaves_the_old_bundle_as_it_was(
    spoil: Callable[[BundleParts], BundleParts], error: type[Exception], bundle: Bundle, parts: BundleParts
) -> None:
    before, beside = files_of(bundle.directory), set(bundle.directory.parent.iterdir())
    with pytest.raises(error):
        write_bundle(bundle.directory, spoil(parts))
    assert files_of(bundle.directory) == before
    assert set(bundle.directory.parent.iterdir()) == beside


def test_a_disk_that_fails_at_the_last_step_leaves_the_old_bundle_as_it_was(
    bundle: Bundle, parts: BundleParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, beside = files_of(bundle.directory), set(bundle.directory.parent.iterdir())
    rename = Path.rename

    def rename_all_but_new(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError("no space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_all_but_new)
    with pytest.raises(OSError, match="no space left"):
        write_bundle(bundle.directory, replace(parts, card="# Another\n"))
    assert files_of(bundle.directory) == before
    assert set(bundle.directory.parent.iterdir()) == beside


def test_a_directory_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == (
        f"No bundle in {tmp_path}/nowhere: there is no manifest.json. Wanted: a directory written by "
        "`python -m training run`. Give the path of one."
    )


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, bundle: Bundle) -> None:
    (bundle.directory / name).unlink()
    assert refusal(bundle.directory) == (
        f"Bundle {bundle.directory} lacks the file {name}; its manifest lists 8 files. Copy the whole directory again."
    )


@pytest.mark.parametrize("name", FILES)
def test_a_file_changed_by_one_byte_is_named_with_both_hashes(name: str, bundle: Bundle) -> None:
    path = bundle.directory / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert refusal(bundle.directory) == (
        f"Bundle file {path} was changed: SHA-256 {sha256_of(path)}, the manifest says {bundle.manifest.files[name]}. "
        "Copy the bundle again from its source; never edit a file in place."
    )


@pytest.mark.parametrize("what", ["format", "rendering"])
def test_another_format_or_rendering_is_refused_even_with_fields_of_its_own(what: str, bundle: Bundle) -> None:
    change(bundle.directory / "manifest.json", **{what: "99", "invented_later": True})
    assert refusal(bundle.directory) == (
        f"Bundle {bundle.directory} has {what} version '99', this program reads version '1'. "
        "Serve it with the Signalbox release that wrote it, or retrain the bundle."
    )


def test_an_unknown_taxonomy_is_refused(bundle: Bundle) -> None:
    change(bundle.directory / "manifest.json", taxonomy="99")
    assert refusal(bundle.directory) == (
        f"Bundle {bundle.directory} cannot be read: it is of taxonomy '99' and has no taxonomy.json. Wanted: a "
        "taxonomy.json of that version, or none and version '1', which is built in. Copy the whole directory again, "
        "or update Signalbox to a release that knows it."
    )


OWN_POLICY = BOLD_POLICY.model_copy(update={"no_reply_intents": OWN.no_reply_intents})


@pytest.fixture
def own(tmp_path: Path) -> Bundle:
    """A bundle with intents of its own, and golden posts."""
    meaning: Meaning = {"parcel": ("simple", "where_is_it"), "thanks": ("simple", "chatter")}
    return write_tiny_bundle(tmp_path / "own", meaning=meaning, policy=OWN_POLICY, taxonomy=OWN)


def test_a_bundle_with_intents_of_its_own_carries_their_taxonomy(own: Bundle) -> None:
    assert load_bundle(own.directory).taxonomy == OWN
    assert json.loads((own.directory / "labels.json").read_text())["intent"] == list(OWN.names)
    assert own.manifest.taxonomy == "acme-1"
    assert own.golden is not None
    assert all(tuple(each.intents) == OWN.names for each in own.golden.posts)
    (prediction,) = Predictor.load(own).predict([Post(text="thanks")])
    assert (prediction.intent, tuple(prediction.intents)) == ("chatter", OWN.names)
    assert prediction.decision.action == "no_reply"


def test_a_bundle_with_the_built_in_intents_has_the_files_that_it_always_had(bundle: Bundle) -> None:
    assert set(bundle.manifest.files) == set(FILES)


def test_a_taxonomy_of_another_version_than_the_manifest_says_is_refused(own: Bundle) -> None:
    change(own.directory / "taxonomy.json", version="acme-2")
    resign(own.directory)
    assert refusal(own.directory).startswith(
        f"Bundle {own.directory} cannot be read: it is of taxonomy 'acme-1' and has a taxonomy.json of version 'acme-2'"
    )


def test_labels_of_another_list_than_the_taxonomy_are_refused(own: Bundle) -> None:
    _labels(own, intent=list(reversed(OWN.names)))
    assert "are not those of taxonomy acme-1: intent label 0 is 'chatter', wanted 'where_is_it'" in refusal(
        own.directory
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"no_reply_intents": ["not_service"]}, "no_reply_intents names 'not_service'"),
        ({"inventory": [{"intent": "chatter"}, {"intent": "how_to"}]}, "inventory.1.intent names 'how_to'"),
    ],
)
def test_a_policy_that_names_an_intent_that_is_not_there_is_refused(
    changes: dict[str, Any], field: str, own: Bundle
) -> None:
    change(own.directory / "policy.json", **changes)
    resign(own.directory)
    assert refusal(own.directory) == (
        f"Bundle {own.directory} cannot be read: Policy 7 does not fit: its {field}. Wanted one of the 4 intents of "
        "taxonomy acme-1: where_is_it, broken_thing, thanks, chatter. Name intents of this taxonomy alone; "
        "no_reply_intents is [] where none is closed without a reply."
    )


def test_golden_posts_of_other_intents_are_refused(own: Bundle) -> None:
    golden = json.loads((own.directory / GOLDEN_FILE).read_text())
    del golden["posts"][0]["intents"]["thanks"]
    (own.directory / GOLDEN_FILE).write_text(json.dumps(golden))
    resign(own.directory)
    assert "golden post g-1 and taxonomy acme-1 do not both have the intent 'thanks'" in refusal(own.directory)


def test_a_graph_with_another_number_of_intents_than_labels_is_refused(own: Bundle) -> None:
    write_tiny_model(own.directory / "model.onnx")
    resign(own.directory)
    bundle = load_bundle(own.directory)
    with pytest.raises(BundleError) as refused:
        Predictor.load(bundle)
    assert str(refused.value) == (
        f"The graph of bundle {own.directory} gives 21 intent logits, labels.json names 4 labels. Wanted one for each. "
        "The two are not of one training: copy the bundle again from its source, or retrain it."
    )


def test_a_policy_of_ones_own_must_fit_the_intents_too(own: Bundle) -> None:
    with pytest.raises(PolicyError, match="its no_reply_intents names 'not_service'"):
        Predictor.load(own, policy=BOLD_POLICY)


def test_a_manifest_that_is_no_json_is_refused(bundle: Bundle) -> None:
    (bundle.directory / "manifest.json").write_text("{")
    assert refusal(bundle.directory) == (
        f"Bundle file {bundle.directory}/manifest.json is not valid: the whole file is b'{{'; "
        "wanted: Invalid JSON: EOF while parsing an object at line 1 column 1. "
        "Restore the file from its source, or retrain the bundle."
    )


@pytest.mark.parametrize("name", ["labels.json", "calibration.json", "policy.json", "metrics.json"])
@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b""], ids=["cut", "a list", "no UTF-8", "empty"])
def test_a_part_that_is_no_json_object_is_refused_though_its_hash_is_right(
    content: bytes, name: str, bundle: Bundle
) -> None:
    (bundle.directory / name).write_bytes(content)
    resign(bundle.directory)
    assert refusal(bundle.directory).startswith(f"Bundle file {bundle.directory / name} is not valid: ")


def test_a_field_out_of_range_is_named_with_its_value_and_its_range(bundle: Bundle) -> None:
    change(bundle.directory / "policy.json", thresholds={"simple": 93})
    resign(bundle.directory)
    assert refusal(bundle.directory) == (
        f"Bundle file {bundle.directory}/policy.json is not valid: thresholds.simple is 93; "
        "wanted: Input should be less than or equal to 1. Restore the file from its source, or retrain the bundle."
    )


@pytest.mark.parametrize(
    ("name", "field"), [("manifest.json", "invented"), ("calibration.json", "temperatures"), ("policy.json", "simpel")]
)
def test_an_unknown_field_is_named(name: str, field: str, bundle: Bundle) -> None:
    change(bundle.directory / name, **{field: 1})
    if name != "manifest.json":
        resign(bundle.directory)
    assert refusal(bundle.directory) == (
        f"Bundle file {bundle.directory / name} is not valid: {field} is 1; "
        "wanted: Extra inputs are not permitted. Restore the file from its source, or retrain the bundle."
    )


def _labels(bundle: Bundle, **heads: list[str]) -> None:
    change(bundle.directory / "labels.json", **heads)
    resign(bundle.directory)


def test_labels_in_another_order_are_refused(bundle: Bundle) -> None:
    _labels(bundle, route=["complex", "simple", *ROUTES[2:]])
    assert refusal(bundle.directory) == (
        f"The labels of bundle {bundle.directory} are not those of taxonomy 1: route label 0 is 'complex', "
        "wanted 'simple'. Restore labels.json from its source, or retrain the bundle."
    )


@pytest.mark.parametrize(
    ("intents", "place", "got", "wanted"),
    [(BUILT_IN.names[:-1], 20, None, "privacy_data"), ((*BUILT_IN.names, "weather"), 21, "weather", None)],
)
def test_a_label_too_few_or_too_many_is_refused(
    intents: tuple[str, ...], place: int, got: str | None, wanted: str | None, bundle: Bundle
) -> None:
    _labels(bundle, intent=list(intents))
    assert f"intent label {place} is {got!r}, wanted {wanted!r}" in refusal(bundle.directory)


def _files_in_manifest(bundle: Bundle, files: dict[str, Any]) -> None:
    change(bundle.directory / "manifest.json", files=files)


@pytest.mark.parametrize("extra", ["weights.bin", "../graph", "/etc/hostname", "manifest.json"])
def test_a_manifest_that_lists_another_file_is_refused_before_that_file_is_read(extra: str, bundle: Bundle) -> None:
    _files_in_manifest(bundle, {**bundle.manifest.files, extra: "0" * 64})
    assert refusal(bundle.directory) == (
        f"The manifest of bundle {bundle.directory} lists {sorted([*FILES, extra])}, wanted {sorted(FILES)} "
        "and at most golden.json and taxonomy.json beside them. Use a bundle written by this version, or retrain it."
    )


def test_a_manifest_that_leaves_a_file_unsigned_is_refused(bundle: Bundle) -> None:
    signed = {name: digest for name, digest in bundle.manifest.files.items() if name != "policy.json"}
    _files_in_manifest(bundle, signed)
    assert refusal(bundle.directory).startswith(f"The manifest of bundle {bundle.directory} lists ['README.md', ")


def test_a_hash_that_is_none_is_refused(bundle: Bundle) -> None:
    _files_in_manifest(bundle, {**bundle.manifest.files, "model.onnx": "none"})
    message = refusal(bundle.directory)
    assert re.search(r"files\.model\.onnx is 'none'; wanted: String should match pattern", message)


def test_the_hash_of_a_file_is_its_sha_256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("hello")
    assert sha256_of(path) == SHA_OF_HELLO


def test_a_model_is_named_by_its_day_and_the_head_of_its_hash() -> None:
    assert model_version(CREATED, "3fa1c2" + "0" * 58) == "2026.11.22+3fa1c2"
