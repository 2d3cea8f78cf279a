"""Keys, control hashes, seeds and fingerprints: finished takes are found again by them, so their values must never
change by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vvbatch import profiles
from vvbatch.batch.line_request import LineRequest
from vvbatch.batch.plan import Overrides, Plan, make_plan, seed_of_take
from vvbatch.engine.contract import Manner, Voice
from vvbatch.ledger.database import to_json
from vvbatch.ledger.records import line_row
from vvbatch.script import parse

PROFILE = """
title: For keys
engine: {engine}
model: {{repo: microsoft/VibeVoice-1.5B, revision: "abc"}}
device: cpu
dtype: float32
slots: 8
generation:
  cfg_scale: {{golden: 1.3, min: 1.0, max: 3.0}}
  steps: {{golden: 10, min: 1, max: 50}}
  voice_seed: {voice_seed}
text: {{max_chars: 2000}}
"""
SCRIPT = """
version: 1
title: Keys
model: {model}
speakers:
  A: {{voice: one}}
  B: {{voice: two}}
lines:
  - The lamp went out at midnight.
  - {{text: "With a seed, and its own settings.", seed: 7, cfg_scale: 2, steps: 12, max_duration_s: 30}}
  - {{text: "Take care.", takes: 3, escalate: {other}}}
  - dialogue:
      - A: Who is there?
      - B: It is only me.
"""


class Voices:
    def resolve(self, name: str) -> Voice:
        manner = Manner(1.2, -2.0) if name == "two" else Manner()
        return Voice(name, Path(f"/voices/{name}.wav"), name[0] * 64, manner)


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("VVBATCH_CONFIGS", str(tmp_path))
    (tmp_path / "spoken.yaml").write_text(PROFILE.format(engine="draft", voice_seed="null"))
    (tmp_path / "other.yaml").write_text(PROFILE.format(engine="vibevoice", voice_seed=5))
    profiles.load.cache_clear()
    yield tmp_path
    profiles.load.cache_clear()


def planned(folder: Path, model: str, **overrides: Any) -> Plan:
    script = folder / "s.yaml"
    script.write_text(SCRIPT.format(model=model, other="other" if model == "spoken" else "spoken"))
    return make_plan(parse(script), Voices(), Overrides(**overrides))


KEYS = {  # key, control hash and seed, by the profile and the line's number
    ("spoken", 1): (
        "ca090893efc6e0c491638fe9a407e458b8a74a2be0cd09d9fc4f4e6b5f4d0046",
        "26494e45e4026f06cd6f5ad7930e21ab38b19833d4a9658dd31cee654033595c",
        847429695,
    ),
    ("spoken", 2): (
        "294312dd912e13174d259fb97408c559647fd71402dc616859a541f91320496f",
        "148c59431347381abb9f0a73fd6146cb43be5e841075c5ab719fc84a2b11f4da",
        7,
    ),
    ("spoken", 3): (
        "aa64b2c7cd16365f3fcf0a7b802acd0215aaf0e9eecab57c02018eee8c64db11",
        "26494e45e4026f06cd6f5ad7930e21ab38b19833d4a9658dd31cee654033595c",
        3870494786,
    ),
    ("spoken", 4): (
        "1c4620931d4e4beaecab45b0e373a3c36cbb8dc359826007d8c8f0e4d3a03b17",
        "26494e45e4026f06cd6f5ad7930e21ab38b19833d4a9658dd31cee654033595c",
        604043798,
    ),
    ("other", 1): (
        "3e25a74ce8eedf595f9120a5c9d86cabfd6b5e6d6283cc70c9d0bfa120d8b544",
        "9ab71961df1233a31cb687be423682a267b60d4c54f835cac8da66978153f711",
        1448354418,
    ),
    ("other", 2): (
        "d296a0fd1f75fa47a8aab164d8271df5e3c3b7d284d38008303b6dfceb26b5b1",
        "f7788cc03bb21e8b45692005995f784c3b18c5f0a7b6f156c9fae1aeebc37f19",
        7,
    ),
    ("other", 3): (
        "5e2dd356d57178c63e1057e8f5e18d2804bb3749ff578f0f5e1b3f78a0cc6dba",
        "9ab71961df1233a31cb687be423682a267b60d4c54f835cac8da66978153f711",
        3669077221,
    ),
    ("other", 4): (
        "f91be303262799e9e18c4ce1159f47b90704474632ca39fba89b75e61db34d9a",
        "9ab71961df1233a31cb687be423682a267b60d4c54f835cac8da66978153f711",
        2125772949,
    ),
}
FINGERPRINTS = {  # by the profile and whether all takes are kept
    ("spoken", False): "30e1540d836958900b3edf8b68b59629f9efa41acae2811f2daf6c2b0b22fa50",
    ("spoken", True): "bd3d131b88f8e2592f79d8f8490187efdc8b8be69d2662176287661d43bced6b",
    ("other", False): "1c5080007621c1baeb5b7191b43c6039f069ae9d34b344c26d1fb94d25189522",
    ("other", True): "7f6256a53a411d448ea55313470ad75d3fd9316493a76854ded7744b8a8092d3",
}
DIALOGUE = (
    '{"turns":[[0,"Who is there?"],[1,"It is only me."]],"speakers":["A","B"],'
    f'"voices":[{{"name":"one","sha256":"{"o" * 64}","path":"/voices/one.wav","rate":1.0,"pitch":0.0}},'
    f'{{"name":"two","sha256":"{"t" * 64}","path":"/voices/two.wav","rate":1.2,"pitch":-2.0}}],"seed":604043798,'
    '"params":{"cfg_scale":1.3,"steps":10,"temperature":0.0,"max_duration_s":null,"golden":true}}'
)


@pytest.mark.parametrize("model", ["spoken", "other"])
def test_keys_control_hashes_and_seeds_are_the_same_in_every_version(configs: Path, model: str) -> None:
    plan = planned(configs, model)
    found = {(model, line.number): (line.key, line.control_hash, line.request.seed) for line in plan.lines}
    assert found == {key: value for key, value in KEYS.items() if key[0] == model}


@pytest.mark.parametrize("model", ["spoken", "other"])
def test_an_escalation_has_the_key_that_the_other_profile_would_give_the_line(configs: Path, model: str) -> None:
    (escalation,) = [line.escalate for line in planned(configs, model).lines if line.escalate]
    assert (escalation.key, escalation.control_hash, escalation.seed) == KEYS[escalation.profile, 3]


@pytest.mark.parametrize(("model", "keep_takes"), FINGERPRINTS)
def test_fingerprints_are_the_same_in_every_version(configs: Path, model: str, keep_takes: bool) -> None:
    assert planned(configs, model, keep_takes=keep_takes).fingerprint("/out") == FINGERPRINTS[model, keep_takes]


def test_the_ledger_keeps_a_request_as_this_json(configs: Path) -> None:
    plan = planned(configs, "spoken")
    assert to_json(plan.lines[3].request) == DIALOGUE
    assert msgspec.json.decode(DIALOGUE, type=LineRequest) == plan.lines[3].request
    params = '{"cfg_scale":1.3,"steps":10,"temperature":0.0,"max_duration_s":null,"golden":true}'
    row = line_row("b", plan.lines[2], "now")
    key, control_hash, seed = KEYS["other", 3]
    names = f'"model":"other","key":"{key}","control_hash":"{control_hash}"'
    assert to_json(row["escalate"]) == f'{{{names},"takes":3,"seed":{seed},"params":{params}}}'
    settings = '{"cfg_scale":2.0,"steps":12,"temperature":0.0,"max_duration_s":30.0,"golden":false}'
    assert to_json(plan.lines[1].request).endswith(f'"seed":7,"params":{settings}}}')
    assert (
        to_json(planned(configs, "spoken", keep_takes=True).lines[3].request) == DIALOGUE[:-1] + ',"keep_takes":true}'
    )
    assert to_json(plan.streamed().lines[3].request) == DIALOGUE[:-1] + ',"stream":true}'


def test_the_seed_of_each_take_is_the_same_in_every_version() -> None:
    assert [seed_of_take(7, number) for number in (0, 1, 5)] == [7, 392610622, 1183949017]
