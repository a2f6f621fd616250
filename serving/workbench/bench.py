"""What a server lends its workbench. Owns nothing itself."""

from dataclasses import dataclass

from serving.auth import KeyRing
from serving.braking import AnyBrake
from serving.journal.journal import AnyJournal
from serving.rules import Rules
from serving.service import Service
from serving.settings import Settings


@dataclass(frozen=True, slots=True)
class Bench:
    """The server around the pages: its settings, who may ask, which models are in service, where decisions go.

    And the rules and the crisis brake, so that what is forbidden on a page holds at once.
    """

    settings: Settings
    keys: KeyRing | None
    """`None` where there is no keys file: the server then listens on loopback only."""
    service: Service
    journal: AnyJournal
    rules: Rules
    brake: AnyBrake
