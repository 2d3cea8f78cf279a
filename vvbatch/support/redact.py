"""Hides secrets in text that leaves the machine: passwords in URLs, tokens, secret environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(^|_)(API_?)?KEY($|_)|PASS$|AUTH", re.IGNORECASE)
IN_URL = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@\"'<>]*):(?P<secret>[^\s\"'<>]*)@(?=[^\s@]*)")
IN_QUERY = re.compile(r"(?i)([?&;\s](?:password|passwd|token|secret|api_?key|sslpassword)=)[^\s&#;\"']+")
TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{8,}|gh[pousr]_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{16,})")
BEARER = re.compile(r"(?i)(authorization:\s*(?:bearer|basic)\s+)\S+")
SHORTEST = 4  # a shorter secret is hidden in URLs only: it may be part of any word


def secrets_of(environment: Mapping[str, str]) -> set[str]:
    """Secret values of the environment: of variables with a secret's name, and passwords in URLs."""
    found = {value for name, value in environment.items() if SECRET_NAME.search(name)}
    for value in environment.values():
        if "://" in value:
            try:
                password = urlsplit(value).password
            except ValueError:
                continue  # not a URL; what looks like a password in it is found by its pattern
            found |= {password, unquote(password)} if password else set()
    return {secret for secret in found if len(secret) >= SHORTEST}


def redacted(text: str, secrets: set[str], user_folder: Path | None = None) -> str:
    """The text with `***` for every secret, and `~` for the user's folder."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = IN_URL.sub(rf"\g<before>:{HIDDEN}@", text)
    text = IN_QUERY.sub(rf"\g<1>{HIDDEN}", text)
    text = BEARER.sub(rf"\g<1>{HIDDEN}", text)
    text = TOKEN.sub(HIDDEN, text)
    if user_folder is not None and len(user_folder.parts) > 1:
        text = text.replace(str(user_folder), "~")
    return text
