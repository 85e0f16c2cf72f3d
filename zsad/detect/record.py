"""What goes into files as it is. No torch here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Facts that go into files as they are: frozen, and nothing is taken for what it is not."""

    # Strict, so that a file with "3" in the place of 3 is named and not guessed.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    def plain(self) -> dict[str, Any]:
        """Return the facts as JSON can say them."""
        return self.model_dump(mode="json", by_alias=True)
