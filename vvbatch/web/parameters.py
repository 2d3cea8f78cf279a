"""Types of parameters that several requests have."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vvbatch.script.fields import LANGUAGE

# `$` alone also stands before a newline at the end.
END = r"(?!\n)$"
PRINTED = rf"^[^\x00-\x1f\x7f-\x9f]*{END}"
"""No control characters: they could steer a terminal, and no command's argument can hold a NUL."""

Name = Annotated[str, Meta(pattern=PRINTED, min_length=1, max_length=200)]
Words = Annotated[str, Meta(pattern=PRINTED, max_length=2000)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Language = Annotated[str, Meta(pattern=rf"^{LANGUAGE}{END}", max_length=35)]
