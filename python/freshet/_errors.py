"""Why an input has no result."""

from __future__ import annotations

from typing import Any, Optional


class Failure(Exception):
    """Raised, or returned in a batch in place of a result. Its text is shown to people."""

    kind = "transient"

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "message": str(self)}


class Invalid(Failure):
    """This input can never be computed: its document is quarantined."""

    kind = "invalid"


class Transient(Failure):
    """It may succeed later: it is tried again, with growing pauses."""


class Throttled(Failure):
    """A service asks for patience: it is tried again, not before retry_after seconds."""

    kind = "throttled"

    def __init__(self, message: str = "", retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "retry_after": self.retry_after or 0}
