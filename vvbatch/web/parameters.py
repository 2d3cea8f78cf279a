"""Types of parameters that several requests have."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vvbatch.script.fields import LANGUAGE

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Words = Annotated[str, Meta(max_length=2000)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Language = Annotated[str, Meta(pattern=rf"^{LANGUAGE}$", max_length=35)]
