"""A Hugging Face cache with a tiny model in it, laid out as the hub's client does it; and ways to break it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml

from tests.support import tiny_model

REVISION, TOKENIZER_REVISION = "c" * 40, "d" * 40
REPO, TOKENIZER_REPO = "maker/tiny", "maker/words"


def oid(name: str, data: bytes) -> str:
    """The blob's name: sha256 for weights, git's hash for small files."""
    if name.endswith(".safetensors"):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def put(cache: Path, repo: str, revision: str, files: dict[str, bytes], ref: str = "main") -> Path:
    """Store files of a repo at a revision; returns the snapshot."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / revision
    for each in (snapshot, folder / "blobs", folder / "refs"):
        each.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / ref).write_text(revision)
    for name, data in files.items():
        (folder / "blobs" / oid(name, data)).write_bytes(data)
        (snapshot / name).unlink(missing_ok=True)
        (snapshot / name).symlink_to(f"../../blobs/{oid(name, data)}")
    return snapshot


def share(cache: Path, repo: str = REPO) -> None:
    """Move the weights into the cache's shared store, as huggingface_hub does it with what it fetches by Xet.

    A blob then is a link to `blobs/XX/HASH` of the whole cache, whose name is not the sha256.
    """
    store = cache / "blobs"
    store.mkdir(exist_ok=True)
    (store / ".huggingface-shared-blobs").write_text("1\n")
    for blob in (cache / f"models--{repo.replace('/', '--')}" / "blobs").iterdir():
        if len(blob.name) == 64:
            xet = hashlib.sha256(blob.name.encode()).hexdigest()
            (store / xet[:2]).mkdir(exist_ok=True)
            blob.rename(store / xet[:2] / xet)
            blob.symlink_to(f"../../blobs/{xet[:2]}/{xet}")


def tiny_files(folder: Path, shards: int = 2) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A tiny model's files without its tokenizer, and the tokenizer's. Made in `folder`."""
    made = tiny_model.make(folder, shards=shards)
    files = {file.name: file.read_bytes() for file in sorted(made.iterdir())}
    return files, {"tokenizer.json": files.pop("tokenizer.json")}


def write_profile(
    configs: Path, name: str = "tiny", repo: str = REPO, revision: str = REVISION, slots: int = 2
) -> Path:
    configs.mkdir(exist_ok=True)
    model = {"repo": repo, "revision": revision}
    if repo == REPO:
        model |= {"tokenizer_repo": TOKENIZER_REPO, "tokenizer_revision": TOKENIZER_REVISION}
    golden = {"golden": 1.3, "min": 1.0, "max": 3.0}
    profile = {
        "title": "Tiny model, for tests",
        "engine": "vibevoice",
        "model": model,
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "slots": slots,
        "generation": {"cfg_scale": golden, "steps": {"golden": 4, "min": 1, "max": 50}, "voice_seed": 0},
        "text": {"max_chars": 2000},
    }
    path = configs / f"{name}.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


def snapshot_of(cache: Path, repo: str = REPO, revision: str = REVISION) -> Path:
    return cache / f"models--{repo.replace('/', '--')}" / "snapshots" / revision


SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def miss_a_shard(snapshot: Path) -> None:
    (snapshot / SHARDS[1]).unlink()


def truncate_a_shard(snapshot: Path) -> None:
    blob = (snapshot / SHARDS[0]).resolve()
    blob.write_bytes(blob.read_bytes()[:-1000])


def flip_a_byte(snapshot: Path) -> None:
    blob = (snapshot / SHARDS[1]).resolve()
    data = bytearray(blob.read_bytes())
    data[-5] ^= 1
    blob.write_bytes(data)


def break_a_link(snapshot: Path) -> None:
    (snapshot / SHARDS[0]).resolve().unlink()


def be_another_revision(snapshot: Path) -> None:
    snapshot.rename(snapshot.with_name("e" * 40))


DAMAGES = {
    "missing": (miss_a_shard, "model-00002-of-00002.safetensors is missing: one shard of 2"),
    "truncated": (truncate_a_shard, "model-00001-of-00002.safetensors: it is cut off"),
    "corrupt": (flip_a_byte, "model-00002-of-00002.safetensors has changed"),
    "dangling": (break_a_link, "model-00001-of-00002.safetensors is a link to ../../blobs/"),
    "revision": (be_another_revision, f"maker/tiny is here at revision {'e' * 40}, but the profile names {'c' * 40}"),
}
"""Kind of problem: (what makes it, words of its message)."""
