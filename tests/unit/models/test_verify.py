from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tests.support import hub_cache
from tests.support.cli import Cli
from vvbatch import profiles
from vvbatch.engine import open_engine
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models import integrity as verifying
from vvbatch.models import manifest
from vvbatch.models.integrity import drift, profile_problems, require_ready, verify
from vvbatch.models.manifest import Manifest, record_pulled, write_manifest
from vvbatch.models.snapshot import hub_cache as hub_cache_folder
from vvbatch.models.snapshot import sources
from vvbatch.profiles import Profile


@pytest.fixture
def profile(tmp_path: Path, cache: Path) -> Profile:
    return profiles.read(hub_cache.write_profile(tmp_path / "configs"))


def test_verify_finds_no_problem_in_a_complete_snapshot(profile: Profile, tmp_path: Path) -> None:
    assert profile_problems(profile, tmp_path / "manifests") == []
    require_ready(profile, tmp_path / "manifests")


@pytest.mark.parametrize("kind", hub_cache.DAMAGES)
def test_each_damage_has_its_own_message_in_verify_and_at_a_workers_start(
    kind: str, profile: Profile, cache: Path, tmp_path: Path
) -> None:
    assert profile_problems(profile, tmp_path / "home" / "models") == []
    damage, words = hub_cache.DAMAGES[kind]
    damage(hub_cache.snapshot_of(cache))
    problems = profile_problems(profile, tmp_path / "home" / "models")
    assert [problem.kind for problem in problems] == [kind]
    assert words in problems[0].message
    with pytest.raises(EngineUnavailable) as error:
        open_engine(profile, tmp_path / "home")
    assert words in str(error.value)
    assert "vvbatch models pull tiny" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_flipped_byte_is_found_at_the_first_start_too(profile: Profile, cache: Path, tmp_path: Path) -> None:
    hub_cache.flip_a_byte(hub_cache.snapshot_of(cache))
    with pytest.raises(EngineUnavailable, match=r"its name in the cache says"):
        require_ready(profile, tmp_path)


def test_unchanged_files_are_not_read_again_at_a_start(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_ready(profile, tmp_path)

    def read(*_arguments: object) -> str:
        raise AssertionError("hashed again")

    monkeypatch.setattr(verifying, "sha256", read)
    monkeypatch.setattr(verifying, "git_blob_hash", read)
    require_ready(profile, tmp_path)
    with pytest.raises(AssertionError, match="hashed again"):
        profile_problems(profile, tmp_path)


def test_a_byte_that_changed_with_the_files_time_put_back_is_found_by_a_full_verify(
    profile: Profile, cache: Path, tmp_path: Path
) -> None:
    assert profile_problems(profile, tmp_path) == []
    blob = (hub_cache.snapshot_of(cache) / hub_cache.SHARDS[1]).resolve()
    before = blob.stat()
    hub_cache.flip_a_byte(hub_cache.snapshot_of(cache))
    os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [problem.kind for problem in profile_problems(profile, tmp_path)] == ["corrupt"]


def test_verify_accepts_weights_in_the_caches_shared_store(profile: Profile, cache: Path, tmp_path: Path) -> None:
    hub_cache.share(cache)
    assert profile_problems(profile, tmp_path) == []
    require_ready(profile, tmp_path)


@pytest.mark.parametrize("kind", hub_cache.DAMAGES)
def test_each_damage_of_a_shared_weight_file_has_the_same_message(
    kind: str, profile: Profile, cache: Path, tmp_path: Path
) -> None:
    hub_cache.share(cache)
    assert profile_problems(profile, tmp_path) == []
    damage, words = hub_cache.DAMAGES[kind]
    damage(hub_cache.snapshot_of(cache))
    problems = profile_problems(profile, tmp_path)
    assert [problem.kind for problem in problems] == [kind]
    assert words in problems[0].message


def test_a_blob_that_links_out_of_the_cache_is_refused(profile: Profile, cache: Path, tmp_path: Path) -> None:
    blob = (hub_cache.snapshot_of(cache) / hub_cache.SHARDS[0]).resolve()
    blob.rename(tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    assert [problem.kind for problem in profile_problems(profile, tmp_path)] == ["outside"]


def test_verify_compares_a_small_file_with_its_git_hash(profile: Profile, cache: Path, tmp_path: Path) -> None:
    config = hub_cache.snapshot_of(cache) / "config.json"
    config.resolve().write_text(config.read_text() + " ")
    problems = profile_problems(profile, tmp_path)
    assert [(problem.kind, problem.file) for problem in problems] == [("corrupt", "config.json")]


def test_verify_reports_an_index_that_lists_a_tensor_that_no_shard_has(
    profile: Profile, cache: Path, tmp_path: Path
) -> None:
    index = hub_cache.snapshot_of(cache) / "model.safetensors.index.json"
    data = msgspec.json.decode(index.read_bytes())
    data["weight_map"]["model.surprise"] = hub_cache.SHARDS[0]
    index.unlink()
    index.write_bytes(msgspec.json.encode(data))
    problems = profile_problems(profile, tmp_path, "nothing")
    assert [problem.kind for problem in problems] == ["index"]
    assert "has no tensor model.surprise" in problems[0].message


def test_a_link_out_of_the_cache_is_refused(profile: Profile, cache: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    config = hub_cache.snapshot_of(cache) / "config.json"
    elsewhere.write_bytes(config.read_bytes())
    config.unlink()
    config.symlink_to(elsewhere)
    assert [problem.kind for problem in profile_problems(profile, tmp_path)] == ["outside"]


def test_a_snapshot_whose_links_are_of_another_revision_is_drift(profile: Profile, cache: Path, tmp_path: Path) -> None:
    source, folder = sources(profile.model)[0], hub_cache.snapshot_of(cache)
    pulled = {file.name: file.resolve().name for file in folder.iterdir()}
    write_manifest(Manifest(source.repo, source.revision, pulled=pulled), folder, tmp_path)
    assert verify(source, tmp_path) == []
    config = (folder / "config.json").read_bytes() + b"\n"
    hub_cache.put(cache, hub_cache.REPO, hub_cache.REVISION, {"config.json": config})
    assert [problem.kind for problem in verify(source, tmp_path)] == ["drift"]


def test_a_moved_main_is_noted(profile: Profile, cache: Path, tmp_path: Path) -> None:
    source = sources(profile.model)[0]
    assert drift(source, tmp_path) is None
    (cache / "models--maker--tiny" / "refs" / "main").write_text("e" * 40)
    assert "the cache's main is " + "e" * 40 in (drift(source, tmp_path) or "")


def test_the_commit_of_a_pulled_branch_is_recorded_and_a_move_is_reported(
    profile: Profile, cache: Path, tmp_path: Path
) -> None:
    unpinned = sources(msgspec.structs.replace(profile.model, revision="main"))[0]
    said = drift(unpinned, tmp_path) or ""
    assert f"names main of {hub_cache.REPO}, not a commit: here it is {hub_cache.REVISION}; write" in said
    record_pulled(unpinned, hub_cache.REVISION, tmp_path)
    assert drift(unpinned, tmp_path) == said
    (cache / "models--maker--tiny" / "refs" / "main").write_text("e" * 40)
    assert f"here it is {'e' * 40}, but it was {hub_cache.REVISION} when it was pulled" in (
        drift(unpinned, tmp_path) or ""
    )


def test_every_bundled_profile_pins_its_model_and_its_tokenizer() -> None:
    found = [profiles.read(file) for file in profiles.bundled("configs").glob("*.yaml")]
    vibevoice = [profile for profile in found if profile.engine == "vibevoice"]
    assert vibevoice
    assert all(source.pinned for profile in vibevoice for source in sources(profile.model))


def test_a_local_folder_is_compared_with_its_first_verification(
    tmp_path: Path, tiny_files: tuple[dict[str, bytes], dict[str, bytes]]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, data in {**tiny_files[0], **tiny_files[1]}.items():
        (folder / name).write_bytes(data)
    profile = profiles.read(hub_cache.write_profile(tmp_path / "configs", repo=str(folder), revision="local"))
    require_ready(profile, tmp_path / "manifests")
    hub_cache.flip_a_byte(folder)
    with pytest.raises(EngineUnavailable, match=r"when it was first verified it was .* --accept"):
        require_ready(profile, tmp_path / "manifests")
    manifest.forget(folder, tmp_path / "manifests")
    require_ready(profile, tmp_path / "manifests")


def test_accept_is_for_local_folders_only(
    home: Path, cache: Path, tmp_path: Path, tiny_files: tuple[dict[str, bytes], dict[str, bytes]]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, data in {**tiny_files[0], **tiny_files[1]}.items():
        (folder / name).write_bytes(data)
    hub_cache.write_profile(tmp_path / "configs")
    hub_cache.write_profile(tmp_path / "configs", "mine", repo=str(folder), revision="local")
    cli = Cli()
    cli("models", "verify", "mine")
    hub_cache.flip_a_byte(folder)
    assert "--accept" in cli("models", "verify", "mine", code=1).stdout
    cli("models", "verify", "mine", "--accept")
    cli("models", "verify", "mine")
    assert "--accept is for local folders" in cli("models", "verify", "tiny", "--accept", code=2).stderr


def test_a_model_that_was_never_pulled_is_absent(profile: Profile, tmp_path: Path) -> None:
    elsewhere = msgspec.structs.replace(profile.model, repo="maker/other", tokenizer_repo=None)
    problems = profile_problems(msgspec.structs.replace(profile, model=elsewhere), tmp_path)
    assert [problem.kind for problem in problems] == ["absent"]
    assert f"is not on this machine: it is not in {hub_cache_folder()}" in problems[0].message
