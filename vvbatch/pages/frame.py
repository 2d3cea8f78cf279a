"""What every page has: one file that needs no network, its policy, its style, texts that are never markup."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch.report.times import when
from vvbatch.voices.errors import MissingExtra

if TYPE_CHECKING:
    from jinja2 import Template

HERE = Path(__file__).parent


def template(file: Path) -> Template:
    """A page's template, which extends `frame.html`. Raises MissingExtra."""
    try:
        import jinja2
    except ImportError as error:
        raise needs_extra("Jinja") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([file.parent, HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["when"] = when
    environment.globals["style"] = (HERE / "style.css").read_text(encoding="utf-8")
    return environment.get_template(file.name)


def needs_extra(package: str) -> MissingExtra:
    return MissingExtra(f"the report needs {package}: pip install 'vvbatch[report]'")
