"""A whole run: environments made, posts drawn, every server measured in turn, results written after each of them."""

import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from data.dependencies import needs_group
from data.progress import Say, progress_bar
from evaluation.benchmarks.serving.bare import BareModel
from evaluation.benchmarks.serving.contenders import (
    OWN,
    PEERS,
    ROOT,
    Contender,
    own_cached_contender,
    own_contender,
    own_settings,
)
from evaluation.benchmarks.serving.environments import (
    CACHE,
    InstallError,
    environment_of,
    install,
    installed_version,
    program_of,
)
from evaluation.benchmarks.serving.load import send_with
from evaluation.benchmarks.serving.measurement import (
    FULL,
    QUICK,
    Lengths,
    Setting,
    bare_by_command,
    describe,
    measure,
)
from evaluation.benchmarks.serving.peers.machine import cores
from evaluation.benchmarks.serving.results import Benchmark, Machine, Server
from evaluation.benchmarks.serving.workload import Item, draw_items, draw_repeats, write_bodies, write_items
from models.bundle import Bundle

with needs_group("bench", "The serving benchmark"):
    import psutil

LOAD_TOOL = "k6"
JSON_FILE = "serving.json"
_BARE_POSTS = 2_000
"""Enough that no loop of a few seconds sees a post twice, few enough not to weigh in the bare process's memory."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a run shall measure, and where its results go."""

    bundle: Bundle
    peers: Sequence[str]
    quick: bool
    out: Path
    cache: Path = CACHE

    @property
    def lengths(self) -> Lengths:
        """How long each part takes."""
        return QUICK if self.quick else FULL


class Countdown:
    """Says what is done now, and how long the whole still takes by what was planned for each server."""

    def __init__(self, say: Say, servers: int, each_s: float) -> None:
        self._say, self._servers, self._each_s = say, servers, each_s
        self._number, self._began = 0, time.perf_counter()

    def begin(self, name: str) -> None:
        """Nothing; the next server's turn has come."""
        self._number, self._began = self._number + 1, time.perf_counter()
        self.say(name)

    def say(self, text: str) -> None:
        """Nothing; `text` is shown with the time left."""
        spent_s = min(time.perf_counter() - self._began, self._each_s)
        left_s = (self._servers - max(self._number, 1) + 1) * self._each_s - spent_s
        self._say(f"[{self._number}/{self._servers}, {left_s / 60:.1f} min left] {text}")


def install_all(peers: Sequence[str], say: Say) -> dict[str, str]:
    """What came of installing the load tool and the peers: by name, empty or why it failed."""
    outcome = {}
    for name in (LOAD_TOOL, *peers):
        try:
            install(name, say)
            outcome[name] = ""
        except (InstallError, OSError) as error:
            outcome[name] = str(error)
            say(f"{name} was not installed: {error}")
    return outcome


def _machine() -> Machine:
    names = [line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")]
    return Machine(
        processor=names[0] if names else platform.processor() or platform.machine(),
        cores=cores(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def _cpu_lines() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _commit() -> str:
    return (_git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if _git("status", "--porcelain") else "")


def _bodies(contender: Contender, items: Sequence[Item], directory: Path) -> Path:
    chosen = draw_repeats(items, len(items)) if contender.repeats else items
    return write_bodies((directory / f"{contender.name}.jsonl").absolute(), chosen, contender.body)


def _contenders(peers: Sequence[str]) -> list[Contender]:
    own = own_contender(own_settings())
    cached = [own_cached_contender()] if own.environment else []
    return [own, *cached, *(PEERS[name] for name in peers)]


def _setting(request: Request, say: Say) -> Setting:
    bundle = request.bundle
    items = draw_items(bundle.tokenizer_path, bundle.manifest.reading, bundle.policy, watch=progress_bar)
    model = BareModel(bundle)
    work = write_items(request.cache / "items.jsonl", items[:_BARE_POSTS])
    return Setting(
        lengths=request.lengths,
        cache=request.cache,
        bundle=bundle.directory,
        send=send_with(program_of(LOAD_TOOL, LOAD_TOOL), request.cache.absolute()),
        bare=bare_by_command(bundle.directory, work, request.lengths.bare_s),
        items=items,
        labels=[model.label(item) for item in items[: request.lengths.checked_posts]],
        say=say,
    )


def _version(contender: Contender) -> str:
    return installed_version(contender.name, contender.package) if contender.is_peer else _commit()


def _measure_all(
    contenders: Sequence[Contender], outcome: dict[str, str], setting: Setting, clock: Countdown
) -> Iterator[Server]:
    for contender in contenders:
        clock.begin(contender.name)
        problem = outcome.get(contender.name, "")
        if problem:
            yield describe(contender, "", "not_installed", problem)
        else:
            yield measure(contender, _version(contender), setting, _bodies(contender, setting.items, setting.cache))


def compare(request: Request, say: Say) -> Benchmark:
    """The results of a run, written to `out` after every server, so that a run that is cut off leaves what it has.

    Raises:
        InstallError: when the load tool cannot be installed; a peer that cannot is reported in the results.
        LoadError: when the bare model cannot be measured.
    """
    outcome = install_all(request.peers, say)
    if outcome[LOAD_TOOL]:
        raise InstallError(f"Nothing was measured, for want of the load tool {LOAD_TOOL}: {outcome[LOAD_TOOL]}")
    contenders = _contenders(request.peers)
    clock = Countdown(say, len(contenders), request.lengths.whole_s)
    clock.say("drawing posts")
    setting = _setting(request, clock.say)
    results = Benchmark(
        made_at=datetime.now(UTC),
        quick=request.quick,
        git_commit=_commit(),
        model_version=request.bundle.manifest.model_version,
        load_tool=f"{LOAD_TOOL} {installed_version(LOAD_TOOL, LOAD_TOOL)}",
        posts=len(setting.items),
        machine=_machine(),
        servers=[],
    )
    request.out.mkdir(parents=True, exist_ok=True)
    for server in _measure_all(contenders, outcome, setting, clock):
        results = results.model_copy(update={"servers": [*results.servers, server]})
        write_results(request.out / JSON_FILE, results)
    return results


def write_results(path: Path, results: Benchmark) -> None:
    """Nothing; `path` holds the results, replaced as a whole."""
    fresh = path.with_suffix(".part")
    fresh.write_text(results.model_dump_json(indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def headline(results: Benchmark) -> dict[str, object]:
    """A run on one line: the ratios of each server, or its status."""
    return {
        server.name: server.measured.ratios.model_dump() if server.measured else server.status
        for server in results.servers
    }


class UnknownPeerError(ValueError):
    """A peer that nobody knows was asked for."""


def chosen_peers(text: str) -> list[str]:
    """The peers named in `text`, separated by commas; `all` and `none` are understood.

    Raises:
        UnknownPeerError: when one of them is unknown.
    """
    if text in ("all", "none", ""):
        return list(PEERS) if text == "all" else []
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise UnknownPeerError(
            f"No peers were chosen: {', '.join(unknown)} is none. Wanted some of {', '.join(PEERS)}, all or none. "
            "Name them with commas between: --peers litserve,ray"
        )
    return names


def was_measured(results: Benchmark) -> bool:
    """True where at least this server has figures."""
    return any(server.name == OWN and server.measured for server in results.servers)


def is_installed(name: str) -> bool:
    """True where the environment of `name` was made in full."""
    return (environment_of(name) / "installed").exists()
