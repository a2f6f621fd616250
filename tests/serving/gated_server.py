"""A server in a process of its own whose model waits at the gate word until a line comes on stdin.

Run as `python -m tests.serving.gated_server`: says `{"address": ...}` when ready and `{"entered": true}` when a post
stands at the gate, a line each on stdout. All settings are the environment's.
"""

import json
import sys
from threading import Thread

from models.guards import Guards, LanguageDetector
from models.predictor import Predictor
from serving.app import create_app
from serving.logs import configure_logs
from serving.server import address_of, listen, serve
from serving.settings import read_settings
from tests.fakes import fake_bundle
from tests.serving.gates import GATE_TIMEOUT_S, GatedClassifier


def say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def watch(classifier: GatedClassifier) -> None:
    """Says when a post stands at the gate, and opens it when told to."""
    if classifier.entered.wait(GATE_TIMEOUT_S):
        say({"entered": True})
        sys.stdin.readline()
        classifier.gate.set()


def main() -> int:
    settings = read_settings(port=0)
    configure_logs(settings.log_level)
    classifier = GatedClassifier()
    app = create_app(settings, lambda: Predictor(fake_bundle(), classifier, Guards(LanguageDetector())))
    Thread(target=watch, args=[classifier], daemon=True).start()
    with listen(settings) as listener:
        return bool(serve(app, settings, listener, lambda: say({"address": address_of(listener)})))


if __name__ == "__main__":
    sys.exit(main())
