"""Changing the models in service while they answer: load, verify, warm, compare, swap; promote, retire, go back.

One change at a time. Everything that can fail is done beside the lineup in service, which is swapped as one value at
the very end, or not at all. Every change is logged with who asked for it, and counted. Whoever is champion decides by
the policy that people made active for that model, where there is one, else by the one it was loaded with.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.post import Post
from models.bundle import BundleError
from models.guards import Guards
from models.policy import Policy, PolicyError
from models.predictor import Predictor
from serving.check import failures
from serving.engine import ServedModel
from serving.errors import ApiError, BundleRefusedError, LineupConflictError, ReloadRunningError
from serving.lineup import Challenger, Lineup, Tally, verdict_of
from serving.loading import load_predictor, reload_directory
from serving.logs import fault_of
from serving.memory import keep_for_good, return_freed_memory
from serving.metrics import Change, Metrics
from serving.service import Service
from serving.settings import Settings, SettingsError
from serving.wire import CANARY_SHARE, GoldenAnswer, GoldenDifference, ReloadRequest


@dataclass(frozen=True, slots=True)
class Enforced:
    """A policy that people made active for one model, and who did."""

    policy: Policy
    model_version: str
    by: str


BundleLoader = Callable[[Path, Guards], Predictor]
"""Loads the bundle of a directory, with a language model that is in memory already."""
LOG = logging.getLogger("signalbox.changeover")
_ANSWERING_FILES = ("model.onnx", "tokenizer.json", "labels.json", "calibration.json")
"""What decides an answer beside the policy: two bundles of one name must have the same."""


def compare_golden(before: ServedModel, after: ServedModel) -> GoldenAnswer:
    """What two models make of the golden posts of the second, or of the first where the second has none."""
    golden = after.predictor.bundle.golden or before.predictor.bundle.golden
    posts: list[Post] = golden.inputs if golden else []
    pairs = list(zip(posts, before.predictor.predict(posts), after.predictor.predict(posts), strict=True))
    differences = tuple(
        GoldenDifference(id=post.id, before=verdict_of(old), after=verdict_of(new))
        for post, old, new in pairs
        if (old.route, old.decision.action) != (new.route, new.decision.action)
    )
    return GoldenAnswer(
        posts=len(posts),
        routes=sum(old.route != new.route for _, old, new in pairs),
        actions=sum(old.decision.action != new.decision.action for _, old, new in pairs),
        differences=differences,
    )


def _check_name(new: ServedModel, lineup: Lineup) -> None:
    """Answers name their versions alone, so two models in service may not share them and answer otherwise.

    A model's name alone stands for its files: what people made active for it is put on whatever has that name.
    """
    bundle, own = new.predictor.bundle, new.own_policy
    for old in lineup.models:
        if old.versions.model != new.versions.model:
            continue
        files = old.predictor.bundle.manifest.files
        same_files = all(files.get(name) == bundle.manifest.files.get(name) for name in _ANSWERING_FILES)
        known = (old.own_policy, old.predictor.policy)
        if not same_files or any(each.version == own.version and each != own for each in known):
            raise BundleError(
                f"Bundle {bundle.directory} has the name of a model in service and another content: model "
                f"{new.versions.model}, policy {own.version}. Wanted: a version of its own, since answers name nothing "
                "else. Make it with `python -m training run`, and give a changed policy another version."
            )


class Changeover:
    """Makes changes of a service's lineup, one at a time, on the event loop's thread."""

    def __init__(
        self, service: Service, settings: Settings, metrics: Metrics, load: BundleLoader | None = None
    ) -> None:
        self._service = service
        self._settings = settings
        self._metrics = metrics
        self._load = load or (lambda directory, guards: load_predictor(settings, directory, guards))
        self._loading = False
        self._active: Enforced | None = None

    @contextmanager
    def _alone(self) -> Iterator[Lineup]:
        if self._loading:
            raise ReloadRunningError
        lineup = self._service.lineup()
        self._loading = True
        try:
            yield lineup
        finally:
            self._loading = False

    def _ruled(self, lineup: Lineup) -> Lineup:
        """The lineup whose champion decides by the policy that is active for it, or by its own where none is."""
        champion, active = lineup.champion, self._active
        mine = active is not None and active.model_version == champion.versions.model
        return lineup.deciding_by(active.policy if active and mine else champion.own_policy)

    def enforce(self, active: Enforced | None) -> None:
        """Nothing; from now on champions of that model decide by that policy, and all others by their own.

        A bundle that is being loaded meanwhile is put under it once it is there.

        Raises:
            NotReadyError: while no model is in service.
            PolicyError: when the champion cannot decide by it. What was in force goes on.
        """
        before, known = self._service.lineup(), self._active
        self._active = active
        try:
            after = self._ruled(before)
        except PolicyError:
            self._active = known
            raise
        if after is not before:
            self._change("policy", before, after, active.by if active else "the journal")

    def _swap(self, change: Change, before: Lineup, after: Lineup, by: str) -> Lineup:
        try:
            ruled = self._ruled(after)
        except PolicyError as error:
            raise LineupConflictError(f"{error} The models in service were not changed.") from None
        return self._change(change, before, ruled, by)

    def _change(self, change: Change, before: Lineup, after: Lineup, by: str) -> Lineup:
        self._service.change(after)
        self._metrics.observe_change(change)
        names = {"from": before.named(), "to": after.named()}
        LOG.info("lineup_changed", extra={"fields": {"change": change, "by": by, **names}})
        return after

    def promote(self, *, by: str) -> Lineup:
        """The lineup with the challenger as champion. `by` is who asked, for the log.

        Raises:
            ReloadRunningError: while a bundle is being loaded.
            LineupConflictError: when there is no challenger.
        """
        with self._alone() as lineup:
            return self._swap("promote", lineup, lineup.promoting(), by)

    def rollback(self, *, by: str) -> Lineup:
        """The lineup with the previous champion in service again.

        Raises:
            ReloadRunningError: while a bundle is being loaded.
            LineupConflictError: when there is no previous one.
        """
        with self._alone() as lineup:
            return self._swap("rollback", lineup, lineup.rolling_back(), by)

    def retire(self, *, by: str) -> Lineup:
        """The lineup without the challenger.

        Raises:
            ReloadRunningError: while a bundle is being loaded.
            LineupConflictError: when there is none.
        """
        with self._alone() as lineup:
            return self._swap("retire", lineup, lineup.retiring(), by)

    async def reload(self, asked: ReloadRequest, *, by: str) -> tuple[Lineup, GoldenAnswer]:
        """The lineup with the bundle asked for, and what it does otherwise than the champion before it.

        Raises:
            ReloadRunningError: while another one is being loaded.
            BundleRefusedError: when it may not serve; the lineup is as it was.
        """
        with self._alone() as lineup:
            try:
                model, golden = await asyncio.to_thread(self._prepare, asked.bundle, lineup)
            except BundleRefusedError as error:
                self._metrics.observe_reload(taken=False)
                LOG.error("reload_refused", extra={"fields": {"by": by, "problem": error.detail}})
                raise
            self._metrics.observe_reload(taken=True)
            after = self._swap("reload", lineup, self._joined(asked, model, lineup), by)
            del model, lineup
            keep_for_good()
            await asyncio.to_thread(return_freed_memory)
            return after, golden

    def _joined(self, asked: ReloadRequest, model: ServedModel, lineup: Lineup) -> Lineup:
        if asked.role == "champion":
            return lineup.crowning(model)
        share = 0.0 if asked.role == "shadow" else CANARY_SHARE if asked.share is None else asked.share
        return lineup.trying(Challenger(model, asked.role, share, Tally(self._metrics)))

    def _prepare(self, bundle: str | None, lineup: Lineup) -> tuple[ServedModel, GoldenAnswer]:
        """The bundle loaded, verified, warmed and compared, on a thread of its own."""
        try:
            directory = reload_directory(self._settings, bundle)
            predictor = self._load(directory, lineup.champion.predictor.guards)
            problems = failures(predictor)
            if problems:
                raise BundleError(
                    f"Bundle {directory} does not answer as every bundle must: {problems[0]} (and {len(problems) - 1} "
                    "more). Run `python -m serving check` on it, and mend its policy or make it anew."
                )
            model = self._service.engine.warm(predictor)
            _check_name(model, lineup)
            return model, compare_golden(lineup.champion, model)
        except (BundleError, SettingsError) as error:
            raise BundleRefusedError(f"{error} The model in service was not changed.") from None
        except Exception as error:  # noqa: BLE001 - whatever it is, the bundle is not fit to serve, and the old one is
            LOG.error("reload_failed", extra={"fields": fault_of(error)})
            raise BundleRefusedError(
                f"The bundle could not be made to answer: {type(error).__name__}. Wanted: one for which `python -m "
                "serving check` ends with 0. Run that on this machine. The model in service was not changed."
            ) from None

    async def reload_configured(self) -> None:
        """Reads the bundle and policy that the settings name again; what hinders it is logged, as nobody is told."""
        try:
            await self.reload(ReloadRequest(), by="SIGHUP")
        except BundleRefusedError:
            pass  # is logged already
        except ApiError as error:
            LOG.error("reload_refused", extra={"fields": {"by": "SIGHUP", "problem": error.detail}})
