"""What one request spent where, and how the answer says it (`Server-Timing`, W3C Server Timing)."""

from dataclasses import dataclass
from typing import Literal

TimedStage = Literal["queue_s", "read_s", "infer_s", "decide_s"]


@dataclass(slots=True)
class Timing:
    """Seconds of one request by stage. What overlaps counts once, so that the stages come to no more than the whole."""

    queue_s: float = 0.0
    read_s: float = 0.0
    infer_s: float = 0.0
    decide_s: float = 0.0

    def tell(self, stage: TimedStage, seconds: float) -> None:
        """Nothing; where two models judge one request at the same time, the longer of both counts."""
        setattr(self, stage, max(getattr(self, stage), seconds))

    def stages_ms(self) -> dict[str, float]:
        """Milliseconds by stage, in the order of a request's way; 1 us is the last digit."""
        stages_s = {"queue": self.queue_s, "read": self.read_s, "infer": self.infer_s, "decide": self.decide_s}
        return {stage: round(seconds * 1_000, 3) for stage, seconds in stages_s.items()}

    def header(self, total_s: float) -> str:
        """The value of `Server-Timing`, in milliseconds; 1 us is the last digit."""
        parts = {**self.stages_ms(), "total": total_s * 1_000}
        return ", ".join(f"{name};dur={milliseconds:.3f}" for name, milliseconds in parts.items())
