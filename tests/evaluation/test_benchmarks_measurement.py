"""What is done to a server: started, checked, loaded, searched and always ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.post import Post
from data.rendering import render
from data.taxonomy import ROUTES
from evaluation.benchmarks.serving import comparison
from evaluation.benchmarks.serving.__main__ import main
from evaluation.benchmarks.serving.bare import BareModel, measure_loop
from evaluation.benchmarks.serving.contenders import PEERS, Contender, own_contender
from evaluation.benchmarks.serving.environments import (
    CACHE,
    REQUIREMENTS,
    InstallError,
    environment_of,
    install,
    is_for_graphics_cards,
)
from evaluation.benchmarks.serving.load import LoadError, Send, Sent, Stream, read_summary, send_with
from evaluation.benchmarks.serving.measurement import Lengths, Setting, free_port, measure, next_share
from evaluation.benchmarks.serving.peers.model import ROUTES as PEER_ROUTES
from evaluation.benchmarks.serving.peers.model import WINDOW_TOKENS
from evaluation.benchmarks.serving.processes import Program, answers, running, wait_until_ready
from evaluation.benchmarks.serving.results import read_results
from evaluation.benchmarks.serving.workload import (
    Item,
    draw_repeats,
    lengthen,
    own_body,
    pair_of,
    read_items,
    write_bodies,
    write_items,
)
from models.bundle import DEFAULT_BUNDLE, load_bundle
from models.predictor import Predictor
from tests.evaluation.benchmark_results import bare
from tests.fakes import fake_bundle

FAKE = str(Path(__file__).with_name("fake_server.py").absolute())
START_S = 60.0
"""A Python starts in a tenth of a second; on a machine that trains a model beside it, much later."""
SHORT = Lengths(0.1, 0.1, 1.0, 1.0, 1.0, 1.0, 2, 3)
POSTS = [Post(text=f"where is parcel number {number}?", platform="x") for number in range(30)]
ITEMS = [Item(post, render(post)) for post in POSTS]


def quiet(_: str) -> None:
    """Shows nothing."""


def always(*command: str) -> Callable[[object], list[str]]:
    """The same command in whatever place."""
    return lambda _: list(command)


def contender(**changes: object) -> Contender:
    """A contender without an environment of its own: the fake server, but for what is changed."""
    values: dict[str, object] = {
        "name": "fake",
        "package": "",
        "configuration": "as it is",
        "does": "nothing",
        "command": lambda place: [sys.executable, FAKE, str(place.port)],
        "path": "/predict",
        "body": own_body,
        "label_of": lambda answer: answer["label"],
        "ready_within_s": START_S,
    }
    return Contender(**{**values, **changes})  # type: ignore[arg-type] # a dict of its own fields


def answering(stream: Stream) -> Sent:
    """Every request answered well up to 300 a second, none beyond."""
    good = stream.requests if stream.rate_per_s <= 300 else 0
    return Sent(stream.requests, 0, good, stream.requests - good, good, 3.0, 6.0, 12.0, 15.0, 1.0, 0.1)


def setting(tmp_path: Path, send: Send = answering, labels: Sequence[str] = ("simple",) * 3) -> Setting:
    return Setting(SHORT, tmp_path, Path("models/default"), send, bare, ITEMS, labels, quiet)


def test_a_server_is_measured_at_every_rate_beside_the_bare_model(tmp_path: Path) -> None:
    found = measure(contender(), "1.0", setting(tmp_path), tmp_path / "bodies.jsonl")
    assert (found.status, found.reason) == ("measured", "")
    assert found.measured is not None
    assert [step.scenario for step in found.measured.steps] == ["25%", "50%", "75%", "search 85%", "search 80%"]
    assert found.measured.overload.offered_per_s == 2_000
    assert found.measured.sustained_per_s == 300
    assert found.measured.same_label == 1.0
    assert found.measured.half.pss_mb > 0


def test_answers_unlike_the_bare_models_are_counted(tmp_path: Path) -> None:
    labels = ("simple", "complex", "complex")
    found = measure(contender(), "1.0", setting(tmp_path, labels=labels), tmp_path / "bodies.jsonl")
    assert found.measured is not None
    assert found.measured.same_label == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"command": always(sys.executable, "-c", "raise SystemExit('no such model')")}, "no such model"),
        ({"command": always("no-such-program")}, "no-such-program"),
        ({"prepare": always(sys.executable, "-c", "raise SystemExit('no disk')")}, "no disk"),
        ({"label_of": lambda answer: answer["verdict"]}, "no label"),
    ],
)
def test_a_peer_that_does_not_come_to_answer_is_reported_with_the_reason(
    tmp_path: Path, changes: dict[str, Callable[..., object]], reason: str
) -> None:
    found = measure(contender(**changes), "1.0", setting(tmp_path), tmp_path / "bodies.jsonl")
    assert found.status in ("not_started", "failed")
    assert reason in found.reason
    assert found.measured is None


def test_a_peer_that_dies_under_load_is_reported(tmp_path: Path) -> None:
    def kill_it(stream: Stream) -> Sent:
        pids = json.loads(answers(stream.url) or b"[]")
        os.kill(pids[0], signal.SIGKILL)
        psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=START_S)
        return answering(stream)

    found = measure(contender(), "1.0", setting(tmp_path, kill_it), tmp_path / "bodies.jsonl")
    assert found.status == "not_started"
    assert "it ended under load" in found.reason


def test_a_load_tool_that_fails_is_reported(tmp_path: Path) -> None:
    found = measure(contender(), "1.0", setting(tmp_path, send_with(Path("no-k6"), tmp_path)), tmp_path / "bodies")
    assert found.status == "failed"
    assert "The load tool no-k6 failed" in found.reason


@given(st.floats(0.01, 1.2))
def test_the_search_closes_in_on_the_highest_rate_that_is_sustained(limit: float) -> None:
    tried = {share: share <= limit for share in (0.25, 0.5, 0.75)}
    for _ in range(20):
        share = next_share(tried)
        if share is None:
            break
        assert share not in tried
        tried[share] = share <= limit
    best = max((share for share, held in tried.items() if held), default=0.0)
    assert next_share(tried) is None
    assert min(limit, 1.05) - best <= 0.1


def _alive(pids: Sequence[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def _pids(program: Program, port: int) -> list[int]:
    wait_until_ready(program, f"http://127.0.0.1:{port}/", None, START_S)
    pids: list[int] = json.loads(answers(f"http://127.0.0.1:{port}/") or b"[]")
    return pids


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_a_program_and_a_child_that_left_it_end_whatever_ends_the_block(
    tmp_path: Path, error: type[BaseException] | None
) -> None:
    port, pids = free_port(), [0]
    command = [sys.executable, FAKE, str(port), "--child"]
    try:
        with running(command, log=tmp_path / "log") as program:
            pids = _pids(program, port)
            assert len(_alive(pids)) == 2
            assert {process.pid for process in program.tree()} == set(pids)
            assert program.usage().rss_mb > 0
            if error:
                raise error
    except (KeyboardInterrupt, RuntimeError):
        assert error
    assert _alive(pids) == []


def test_only_what_a_program_started_belongs_to_it(tmp_path: Path) -> None:
    with running([sys.executable, "-c", "import signal; signal.pause()"], log=tmp_path / "log") as program:
        assert [process.pid for process in program.tree()] == [program.process.pid]


DRIVER = """
import signal
import sys
from evaluation.benchmarks.serving import __main__, contenders
from tests.evaluation.test_benchmarks_measurement import contender

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
_, directory, *command = sys.argv
contenders.own_contender = lambda settings: contender(
    command=lambda place: [sys.executable, command[0], str(place.port), "--child", *command[1:]]
)
sys.exit(__main__.main(["idle", "--starts", "1", "--seconds", "600", "--out", directory]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    told = tmp_path / "pids.json"
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path), FAKE, "--pids", str(told)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert driver.stderr is not None
        while "leaving it alone" not in (line := driver.stderr.readline()):
            assert line, "the command ended before the server was there"
        pids: list[int] = json.loads(told.read_bytes())
        assert len(_alive(pids)) == 2
        driver.send_signal(number)
        driver.communicate(timeout=START_S)
    finally:
        driver.kill()
        driver.communicate()
    assert driver.returncode == code
    assert _alive(pids) == []


def test_a_peer_that_cannot_be_installed_is_reported_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install_all_but_one(name: str, say: Callable[[str], None]) -> Path:
        if name == "litserve":
            raise InstallError("pip ended with 1: no such version")
        return tmp_path

    own = contender(name="signalbox")
    monkeypatch.setattr(comparison, "install", install_all_but_one)
    monkeypatch.setattr(comparison, "_contenders", lambda _: [PEERS["litserve"], own])
    monkeypatch.setattr(comparison, "_setting", lambda *_: setting(tmp_path))
    request = comparison.Request(fake_bundle(), ["litserve"], quick=True, out=tmp_path / "out")
    results = comparison.compare(request, quiet)
    assert [(server.name, server.status) for server in results.servers] == [
        ("litserve", "not_installed"),
        ("signalbox", "measured"),
    ]
    assert results.servers[0].reason == "pip ended with 1: no such version"
    assert read_results(tmp_path / "out" / "serving.json") == results
    assert comparison.was_measured(results)


def test_without_the_load_tool_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, say: Callable[[str], None]) -> Path:
        raise InstallError("no space left")

    monkeypatch.setattr(comparison, "install", fail)
    request = comparison.Request(fake_bundle(), [], quick=True, out=tmp_path / "out")
    with pytest.raises(InstallError, match="Nothing was measured, for want of the load tool k6: no space left"):
        comparison.compare(request, quiet)


def test_the_bare_model_says_what_the_predictor_says() -> None:
    bundle = load_bundle(DEFAULT_BUNDLE)
    model, predictor = BareModel(bundle), Predictor.load(bundle)
    assert [model.label(item) for item in ITEMS[:3]] == [each.route for each in predictor.predict(POSTS[:3])]


def test_a_loop_is_measured_alone_paced_and_on_all_cores() -> None:
    seen: list[Item] = []
    found = measure_loop(seen.append, ITEMS, seconds=0.05)
    assert set(map(id, seen)) == set(map(id, ITEMS))
    assert 0 < found.p50_ms <= found.p90_ms <= found.p99_ms
    assert found.limit_per_s > 0


def test_an_environment_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.benchmarks.serving.environments.CACHE", tmp_path / "cache")
    (tmp_path / "broken.txt").write_text("./no-such-wheel-1.0-py3-none-any.whl\n")
    with pytest.raises(InstallError, match=r"pip ended with 1: .*no-such-wheel"):
        install("broken", quiet, requirements=tmp_path)
    assert not (environment_of("broken", tmp_path) / "installed").exists()


def _requirements() -> list[Path]:
    return sorted(REQUIREMENTS.glob("*.txt"))


@pytest.mark.parametrize("path", _requirements(), ids=[path.stem for path in _requirements()])
def test_every_version_of_a_peers_environment_is_pinned_and_none_is_for_graphics_cards(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        name, pinned, version = line.partition("==")
        assert pinned, line
        assert version, line
        assert not is_for_graphics_cards(name)
        assert name != "torch" or version == "2.13.0"


def test_what_peers_know_of_the_model_is_what_it_is() -> None:
    assert PEER_ROUTES == ROUTES
    assert load_bundle(DEFAULT_BUNDLE).manifest.reading.window_tokens == WINDOW_TOKENS


def test_every_peer_and_the_load_tool_have_pins() -> None:
    assert {path.stem for path in _requirements()} == {*PEERS, "k6"}


def test_a_package_of_a_cuda_build_is_known_by_its_name() -> None:
    names = (
        "nvidia-cublas-cu12",
        "nvidia_cudnn_cu13",
        "triton",
        "cuda-toolkit",
        "nvidia-ml-py",
        "tritonclient",
        "torch",
    )
    assert [name for name in names if is_for_graphics_cards(name)] == list(names[:4])


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_asked_for_the_route_of_what_the_model_reads(name: str) -> None:
    body = PEERS[name].body(ITEMS[0])
    assert "where is parcel number 0?" in body
    assert isinstance(json.loads(body), dict)


def test_this_server_is_compared_without_its_cache_once_it_has_one() -> None:
    assert own_contender("| `SIGNALBOX_CACHE_POSTS` | `1` | |").environment == {"SIGNALBOX_CACHE_POSTS": "0"}
    assert own_contender("no such setting").environment == {}


def test_a_body_is_the_post_as_a_caller_has_it_and_a_pair_is_what_the_model_reads() -> None:
    item = ITEMS[0]
    assert Post.model_validate_json(own_body(item)) == item.post
    assert pair_of(item) == {"text": "where is parcel number 0?", "context": "x"}


def test_posts_that_were_written_are_read_again(tmp_path: Path) -> None:
    assert read_items(write_items(tmp_path / "items.jsonl", ITEMS)) == ITEMS
    assert len(write_bodies(tmp_path / "bodies.jsonl", ITEMS, own_body).read_text().splitlines()) == len(ITEMS)


def test_repeats_favour_the_popular() -> None:
    drawn = [ITEMS.index(item) for item in draw_repeats(ITEMS, 2_000)]
    assert drawn.count(0) > 2 * drawn.count(4) > 0


def test_long_posts_are_among_short_ones_and_within_what_is_allowed() -> None:
    posts = [Post.model_validate_json(body) for body in lengthen(ITEMS, 80, 20, 10_000)]
    lengths = [len(post.text) for post in posts]
    assert len([length for length in lengths if length >= 500]) == 4
    assert max(lengths) <= 10_000


K6 = environment_of("k6").absolute() / "bin" / "k6"
needs_k6 = pytest.mark.skipif(
    not K6.exists(),
    reason="the load tool is not installed: python -m evaluation.benchmarks.serving run --install-only --peers none",
)


@needs_k6
@pytest.mark.parametrize("word", ["parcel", "refuse"])
def test_the_load_tool_sends_every_post_and_tells_answers_from_refusals(tmp_path: Path, word: str) -> None:
    port = free_port()
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text(f'{{"text": "{word}"}}\n' * 3)
    url = f"http://127.0.0.1:{port}/predict"
    with running([sys.executable, FAKE, str(port)], log=tmp_path / "log") as program:
        wait_until_ready(program, url, b"{}", START_S)
        sent = send_with(K6, tmp_path)(Stream(url, bodies, 20.0, 1.0))
    assert sent.answered + sent.refused == sent.sent > 0
    assert (sent.answered == 0) == (word == "refuse")
    assert (sent.p50_ms is None) == (word == "refuse")
    assert sent.tool_cpu_s > 0


SUMMARY: dict[str, dict[str, float]] = {
    "sent": {"count": 10},
    "answered": {"count": 9},
    "refused": {"count": 1},
    "good_planned": {"count": 5},
    "good_sent": {"count": 8},
    "latency_planned": {"med": 40.0, "p(90)": 60.0, "p(99)": 90.0, "max": 99.0},
    "latency_sent": {"med": 4.0, "p(90)": 6.0, "p(99)": 9.0, "max": 9.9},
    "late": {"p(99)": 81.0},
}


def test_a_latency_counts_from_the_plan_while_the_plan_is_known() -> None:
    found = read_summary(SUMMARY, cpu_s=0.5)
    assert (found.good, found.p50_ms, found.p99_ms, found.late_p99_ms) == (5, 40.0, 90.0, 81.0)
    dropping = read_summary(SUMMARY | {"dropped_iterations": {"count": 3}}, cpu_s=0.5)
    assert (dropping.good, dropping.p50_ms, dropping.p99_ms, dropping.late_p99_ms) == (8, 4.0, 9.0, None)
    assert (dropping.sent, dropping.dropped) == (10, 3)


def test_what_was_never_sent_has_failed(tmp_path: Path) -> None:
    def drop_half(stream: Stream) -> Sent:
        half = stream.requests // 2
        return Sent(half, stream.requests - half, half, 0, half, 3.0, 6.0, 12.0, 15.0, None, 0.1)

    found = measure(contender(), "1.0", setting(tmp_path, drop_half), tmp_path / "bodies.jsonl")
    assert found.measured is not None
    assert found.measured.sustained_per_s is None
    assert found.measured.idle.failed == found.measured.idle.dropped == 10


@needs_k6
def test_a_load_that_nobody_answers_has_neither_answers_nor_latencies(tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text("{}\n")
    sent = send_with(K6, tmp_path)(Stream(f"http://127.0.0.1:{free_port()}/", bodies, 20.0, 1.0))
    assert (sent.answered, sent.refused, sent.good, sent.p99_ms) == (0, 0, 0, None)


def test_a_load_tool_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="Install it anew"):
        send_with(Path("no-k6"), tmp_path)(Stream("http://127.0.0.1:1/", tmp_path / "bodies.jsonl", 1.0, 1.0))


@pytest.mark.parametrize("verb", ["run", "bare", "table", "soak", "idle"])
def test_every_verb_has_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert f"examples:\n  python -m evaluation.benchmarks.serving {verb}\n" in capsys.readouterr().out


def test_an_unknown_peer_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--peers", "litserve,torchserve"]) == 2
    assert "No peers were chosen: torchserve is none. Wanted some of litserve, " in capsys.readouterr().err


def test_results_that_are_not_there_are_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--from", str(tmp_path / "none.json")]) == 2
    assert "Make one: python -m evaluation.benchmarks.serving run" in capsys.readouterr().err


def test_nothing_of_the_benchmark_is_committed_by_mistake() -> None:
    assert f"/{CACHE.parent}/" in Path(".gitignore").read_text().splitlines()
