"""The errors of this folder that a person can mend; the command shows them as one line.

TrainingError
├── RecipeError      the recipe is missing or does not fit
├── EncoderError     no place has the pretrained weights
├── DivergedError    the loss is no number any more
├── WorkLostError    a process that trained was ended from outside
├── ExportError      the graph is not what the network is, or cannot be quantised
├── StoreError       MLflow's store cannot be reached, or refuses
└── RegistryError    no such alias or version of the registered model
"""


class TrainingError(Exception):
    """Something a person can mend; the message says how."""


class RecipeError(TrainingError):
    """A recipe that cannot be followed: missing, not TOML, an unknown field or a value out of range."""


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


class RegistryError(TrainingError):
    """The registered model has no such alias or version, or a bundle of it cannot be put where it is wanted."""
