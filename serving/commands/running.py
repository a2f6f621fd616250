"""The commands that serve: a bundle, or the demo of the workbench."""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from data.dependencies import needs_group
from serving.commands.verbs import DONE, FAILED, Verbs, add_bundle, add_journal, add_verb, reply, say

if TYPE_CHECKING:
    from models.predictor import Predictor
    from serving.settings import Settings


def add(verbs: Verbs) -> None:
    """Nothing; `run` and `demo` are there."""
    running = add_verb(
        verbs, "run", run, "serve until stopped", "run", "run --port 0 --bundle build/new", "--bundle build/new"
    )
    showing = add_verb(
        verbs, "demo", demo, "fill a journal of its own with a month, and show the workbench", "demo", "demo --fresh"
    )
    showing.add_argument("--posts", type=int, default=12_000, help="of the month (default: %(default)s)")
    showing.add_argument("--fresh", action="store_true", help="begin the month anew; what was done in the demo is lost")
    showing.add_argument("--fill-only", action="store_true", help="fill the journal, and do not serve")
    for each in (running, showing):
        each.add_argument("--host", help="address to listen on (SIGNALBOX_HOST)")
        each.add_argument("--port", type=int, help="port to listen on, 0 for a free one (SIGNALBOX_PORT)")
    add_journal(showing)
    add_bundle(running, showing)


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is stopped. Its JSON line on stdout comes when a model answers."""
    from serving.loading import load_predictor
    from serving.logs import configure_logs
    from serving.settings import read_settings

    settings = read_settings(host=arguments.host, port=arguments.port, bundle=arguments.bundle)
    configure_logs(settings.log_level)
    with ThreadPoolExecutor(1) as beside:  # the model is loaded while the libraries of the server are
        return _serve(settings, beside.submit(load_predictor, settings).result)


def _serve(settings: "Settings", load: Callable[[], "Predictor"], hint: str = "") -> int:
    from serving.app import create_app
    from serving.server import address_of, listen, serve
    from serving.spans import tracer_from

    app = create_app(settings, load, tracer_from(os.environ))
    with listen(settings) as listener:
        address = address_of(listener)

        def announce() -> None:
            say(f"Signalbox answers at {address} (to try it by hand; the interface is at {address}/docs).")
            if hint:
                say(hint.format(address=address))
            reply({"address": address, "versions": app.state.service.versions.model_dump()})

        say(f"Verifying and loading {settings.bundle} ...")
        failure = serve(app, settings, listener, announce)
    say(failure or "Stopped: all that was accepted is answered.")
    return FAILED if failure else DONE


def demo(arguments: argparse.Namespace) -> int:
    """Fills a journal of its own with a month, and serves the workbench over it.

    Posts and all that is said of them are real; times, readers and how often a post comes are invented.
    """
    with needs_group("workbench", "The demo"):
        from serving.workbench.demo.command import JOURNAL, prepare

    say("Loading the model, and filling the journal of the demo where it is not up to now ...")
    given = {name: getattr(arguments, name) for name in ("host", "port", "bundle", "posts", "fresh")}
    settings, predictor, added = prepare(arguments.journal or JOURNAL, **given)
    if arguments.fill_only:
        reply(added)
        return DONE
    return _serve(settings, lambda: predictor, "The workbench is at {address}/qa; any name opens it.")
