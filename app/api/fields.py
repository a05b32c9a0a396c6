"""JSON objects in requests, taken strictly."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from app.api.errors import ApiError

Text = Annotated[str, Field(max_length=4_000_000)]


class Fields(BaseModel):
    """A JSON object. What is unknown and harmless is ignored; what would change the answer and cannot be done is
    refused: `unsupported` says why, by name, unless it is null, empty or false."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    unsupported: ClassVar[dict[str, str]] = {}

    def refuse_unsupported(self) -> None:
        """Raises ApiError."""
        for name, value in (self.model_extra or {}).items():
            if name in self.unsupported and value not in (None, False, [], {}, ""):
                raise ApiError(f"{name} is not supported: {self.unsupported[name]}", param=name, code="unsupported")
