"""The errors of this folder that a person can mend; the command shows them as one line.

TrainingError
├── RecipeError      the recipe is missing or does not fit
├── SpaceError       what a search may change is missing or does not fit the recipe
├── TextsError       a file of texts with intents does not fit
├── EncoderError     no place has the pretrained weights
├── DivergedError    the loss is no number any more
├── WorkLostError    a process that trained was ended from outside
├── ExportError      the graph is not what the network is, or cannot be quantised
├── StoreError       MLflow's store cannot be reached, or refuses
├── RegistryError    no such alias or version of the registered model
├── LedgerError      the ledger was changed otherwise than by adding lines
└── PromotionError   a champion cannot be replaced, or not by this bundle
    └── RefusedError the gate was not passed
"""


class TrainingError(Exception):
    """Something a person can mend; the message says how."""


class RecipeError(TrainingError):
    """A recipe that cannot be followed: missing, not TOML, an unknown field or a value out of range."""


class SpaceError(TrainingError):
    """What a search may change cannot be followed: missing, not TOML, or no field or value of a recipe."""


class TextsError(TrainingError):
    """A file of texts with their intents that has a line which does not fit."""


class EncoderError(TrainingError):
    """No place has the encoder with the wanted weights."""


class DivergedError(TrainingError):
    """Training came to a loss that is no finite number."""


class WorkLostError(TrainingError):
    """A process that did a part of the work ended without giving its result."""


class ExportError(TrainingError):
    """A graph that does not compute what the network computes, could not be fused, or cannot be quantised."""


class StoreError(TrainingError):
    """MLflow's store cannot be reached, or refuses what it is asked."""


class LedgerError(TrainingError):
    """A ledger that was changed otherwise than by adding lines."""


class PromotionError(TrainingError):
    """A champion that cannot be replaced, or not by this bundle; it is as it was."""


class RefusedError(PromotionError):
    """A promotion whose gate was not passed; `reasons` says why."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self.reasons = reasons
        listed = "\n".join(f"  {reason}" for reason in reasons)
        super().__init__(
            f"Not promoted, the gate is not passed:\n{listed}\n"
            "Mend the challenger, or have a person answer for it: --override REASON."
        )


class RegistryError(TrainingError):
    """The registered model has no such alias or version, or a bundle of it cannot be put where it is wanted."""
