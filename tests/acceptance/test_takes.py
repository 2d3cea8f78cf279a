"""Several takes of a line, and lines that go to another profile: real processes, audio that is ready at once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import soundfile

from tests.acceptance.test_batches import ended, status, up
from tests.conftest import READY_PROFILE, Shell, wait_until


def write(path: Path, *lines: dict[str, Any] | str, **top: object) -> str:
    path.write_text(json.dumps({"version": 1, "model": "ready", **top, "lines": list(lines)}))
    return str(path)


def takes_of(shell: Shell, batch: str) -> list[dict[str, Any]]:
    """Oldest first."""
    return sorted(shell.json("ledger", "takes", "--batch", batch), key=lambda take: (take["line"], take["attempt"]))


def test_of_several_takes_the_best_is_kept_and_the_ledger_says_why(shell: Shell, home: Path, tmp_path: Path) -> None:
    up(shell, "ready")
    batch = shell.json("submit", write(tmp_path / "s.yaml", "Say this in several ways."), "--takes", "4")["batch"]
    (line,) = wait_until(lambda: ended(shell, batch))["lines"]
    takes = takes_of(shell, batch)
    assert Counter(take["state"] for take in takes) == {"done": 1, "superseded": 3}
    scores = sorted((take["score"] for take in takes), reverse=True)
    assert len(set(scores)) > 1
    (kept,) = [take for take in takes if take["state"] == "done"]
    assert kept["score"] == scores[0] == line["score"]
    others = ", ".join(f"{score:.2f}" for score in scores[1:])
    assert kept["chosen"] == line["chosen"] == f"best of 4: {scores[0]:.2f}; others {others}"
    not_kept = f"not kept: {kept['take']} scored {scores[0]:.2f}"
    assert {take["chosen"] for take in takes if take is not kept} == {not_kept}
    assert [tried["take"] for tried in line["tried"]] == [take["take"] for take in takes if take is not kept]
    assert all(take["path"] is None for take in takes if take is not kept)
    (listed,) = shell.json("ledger", "lines", batch)
    assert (listed["score"], listed["chosen"], len(listed["tried"])) == (scores[0], kept["chosen"], 3)
    assert shell.json("ledger", "metrics", "--batch", batch)[0]["score_median"] is not None
    assert kept["chosen"] in shell("ledger", "takes", "--batch", batch).stdout


def test_the_audio_of_other_takes_is_kept_on_request_and_known_to_verify(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    up(shell, "ready")
    out = tmp_path / "out"
    lines = [{"text": "Say this thrice.", "takes": 3, "id": "a"}, {"text": "This is once-bad.", "seed": 7, "id": "b"}]
    script = write(tmp_path / "s.yaml", *lines)
    batch = shell.json("submit", script, "--keep-takes", "--out", str(out))["batch"]
    wait_until(lambda: ended(shell, batch))
    takes = takes_of(shell, batch)
    spare = [take for take in takes if take["state"] != "done"]
    assert Counter(take["state"] for take in spare) == {"superseded": 2, "failed_qc": 1}
    for take in spare:
        path = Path(take["path"])
        assert path.parent.parent == out / batch / "takes"
        assert path.name == f"take-{take['attempt']:02d}.wav"
        assert soundfile.info(path).frames == round(take["duration_s"] * 24_000)
    assert len(list(out.rglob("*.wav"))) == 5
    assert shell.json("verify", batch)["checked"] == 5
    Path(spare[0]["path"]).unlink()
    (problem,) = shell.json("verify", batch, code=1)["problems"]
    assert (problem["take"], problem["problem"]) == (spare[0]["take"], "missing")
    shell("verify", batch, "--repair", code=1)
    assert shell.json("verify", batch)["checked"] == 4
    assert status(shell, batch)["counts"]["done"] == 2


def test_bad_takes_are_rolled_again_up_to_the_limit_beyond_those_that_are_wanted(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    up(shell, "ready")
    lines = [
        {"text": "This one is once-bad.", "seed": 7, "takes": 3, "id": "one-bad"},
        {"text": "This one is silent.", "takes": 2, "id": "all-bad"},
    ]
    batch = shell.json("submit", write(tmp_path / "s.yaml", *lines))["batch"]
    view = wait_until(lambda: ended(shell, batch))
    takes = takes_of(shell, batch)
    count = Counter((take["line"], take["state"]) for take in takes)
    assert count == {("one-bad", "failed_qc"): 1, ("one-bad", "superseded"): 2, ("one-bad", "done"): 1} | {
        ("all-bad", "failed_qc"): 4
    }
    assert len({take["seed"] for take in takes if take["line"] == "all-bad"}) == 4
    one, bad = view["lines"]
    assert one["chosen"].endswith("; 1 failed")
    assert bad["error"].startswith("is too quiet: ") and bad["error"].endswith("; 4 takes")
    assert [tried["state"] for tried in bad["tried"]] == ["failed_qc"] * 4
    shell("retry", batch, code=0)
    wait_until(lambda: ended(shell, batch))
    seeds = [take["seed"] for take in takes_of(shell, batch) if take["line"] == "all-bad"]
    assert len(set(seeds)) == len(seeds) == 8, "what has failed once is not rendered again"


def test_a_line_that_still_fails_goes_to_the_other_profile_and_says_so_while_no_one_serves_it(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    up(shell)
    worker = shell.start("tests.support.ready", "ready")
    lines = [{"text": "An easy line.", "id": "easy"}, {"text": "A demanding line.", "id": "hard"}]
    script = write(tmp_path / "s.yaml", *lines, defaults={"escalate": "ready2"})
    batch = shell.json("submit", script)["batch"]
    wait_until(lambda: status(shell, batch)["counts"]["done"] == 1 and status(shell, batch)["lines"][1]["error"])
    view = shell.json("status", batch)
    assert view["unserved"] == {"ready2": 1}
    assert "escalated from ready to ready2" in view["lines"][1]["error"]
    (queue,) = [each for each in shell.json("status")["queues"] if each["model"] == "ready2"]
    assert (queue["waiting"], queue["served"]) == (1, False)
    message = "1 line for profile ready2, which has no worker: vvbatch up --workers ready2"
    assert message in shell("status").stdout
    assert "no worker for ready2: vvbatch up --workers ready2" in shell("status", batch).stdout
    shell.start("tests.support.ready", "ready2")
    assert wait_until(lambda: ended(shell, batch))["counts"]["done"] == 2
    listed = {line["line"]: line for line in shell.json("ledger", "lines", batch)}
    assert (listed["easy"]["model"], listed["hard"]["model"]) == ("ready", "ready2")
    assert listed["hard"]["error"] is None
    assert [(tried["profile"], tried["state"]) for tried in listed["hard"]["tried"]] == [("ready", "failed_qc")] * 3
    takes = [take for take in takes_of(shell, batch) if take["line"] == "hard"]
    assert [take["attempt"] for take in takes] == [1, 2, 3, 4]
    assert takes[0]["control_hash"] == takes[3]["control_hash"], "profiles that differ in name only"
    again = shell.json("submit", script)
    assert (again["state"], again["counts"]["cached"]) == ("done", 2)
    worker.terminate()
    assert "lines wait for profile ready2, of which no worker is running" in worker.communicate(timeout=20)[0]


def test_a_line_that_fails_with_both_profiles_has_failed_with_all_that_was_tried(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    up(shell, "ready", "ready2")
    script = write(tmp_path / "s.yaml", "This one is silent.")
    batch = shell.json("submit", script, "--escalate", "ready2")["batch"]
    (line,) = wait_until(lambda: ended(shell, batch))["lines"]
    assert line["state"] == "failed"
    assert [tried["model"] for tried in line["tried"]] == ["ready"] * 3 + ["ready2"] * 3
    assert "takes of ready failed before" in line["error"]
    assert "takes of ready failed before" in shell("status", batch).stdout


CHAIN = READY_PROFILE + "escalate: ready2\n"
SHORT = READY_PROFILE.replace("max_chars: 2000", "max_chars: 10")
STEEP = READY_PROFILE.replace("max: 50", "max: 12")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--escalate", "nobody"], "unknown profile 'nobody'"),
        (["--escalate", "ready"], "that model ready renders anyway"),
        (["--escalate", "chain"], "escalates to 'ready2' itself"),
        (["--model", "chain", "--escalate", "chain"], "that model chain renders anyway"),
        (["--escalate", "short"], "at most 10 with model short"),
        (["--escalate", "steep"], "1 to 12 with model steep"),
    ],
)
def test_an_escalation_that_cannot_be_is_refused_before_anything_is_queued(
    shell: Shell, home: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    for name, text in (("chain", CHAIN), ("short", SHORT), ("steep", STEEP)):
        (tmp_path / "configs" / f"{name}.yaml").write_text(text)
    script = write(tmp_path / "s.yaml", {"text": "A line of some length.", "steps": 20})
    refused = shell("check", script, *words, code=2)
    assert message in refused.stderr
    assert shell.json("ledger", "batches") == []


def test_a_profile_may_name_takes_and_escalation_and_a_line_may_do_without(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "configs" / "chain.yaml").write_text(CHAIN + "takes: 2\n")
    script = write(tmp_path / "s.yaml", "One line.", {"text": "Another.", "escalate": "none"}, model="chain")
    assert shell.json("check", script)["may_escalate"] == {"ready2": 1}
    assert shell.json("check", script, "--escalate", "none")["may_escalate"] == {}
    assert "to ready2: 1 line" in shell("check", script).stdout


def test_run_starts_the_other_profiles_worker_only_when_a_line_needs_it(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    pytest.importorskip("piper")
    from vvbatch.profiles import bundled

    draft = (bundled("configs") / "draft.yaml").read_text()
    strict = draft.replace("max_s_per_char: 0.078", "max_s_per_char: 0.001")
    assert strict != draft
    (tmp_path / "configs" / "strict.yaml").write_text(strict)
    script = write(tmp_path / "s.yaml", "The lamp went out at midnight.")
    done = shell.json("run", script, "--model", "draft", "--escalate", "strict")
    assert done["counts"]["done"] == 1
    assert not (home / "logs" / "worker-strict.log").exists()
    (home / "logs" / "worker-draft.log").unlink()
    script = write(tmp_path / "s.yaml", "And nobody on the island had touched it.")
    done = shell.json("run", script, "--model", "strict", "--escalate", "draft")
    assert (done["counts"]["done"], len(done["lines"][0]["tried"])) == (1, 3)
    assert (home / "logs" / "worker-draft.log").exists()


def test_a_profile_that_does_not_listen_starts_no_listener(shell: Shell, home: Path, tmp_path: Path) -> None:
    (tmp_path / "configs" / "hears.yaml").write_text(READY_PROFILE + "listen: [words]\n")
    up(shell)
    plain, hears = shell.start("tests.support.ready", "ready"), shell.start("tests.support.ready", "hears")
    for model in ("ready", "hears"):
        batch = shell.json("submit", write(tmp_path / f"{model}.yaml", "A line.", model=model))["batch"]
        wait_until(lambda batch=batch: ended(shell, batch))
    assert commands(plain) == {"watchdog.py"}
    assert commands(hears) == {"watchdog.py", "tests.support.ready_listening"}


def commands(worker: Any) -> set[str]:
    words = {word for child in psutil.Process(worker.pid).children(recursive=True) for word in child.cmdline()}
    return {
        Path(word).name
        for word in words
        if word.endswith(("watchdog.py", "tests.support.ready_listening", "vvbatch.listening"))
    }
