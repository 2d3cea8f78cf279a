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
        "fafe3ff875ecd66724864271bf5870ea81ba243a8881b57362b5acee2d65d33a",
        "cd8f198c0b3e3c854b031a4fea18c9a5b210cec4cd7e236c243f227e9525221d",
        3203650009,
    ),
    ("spoken", 2): (
        "26f5820e8bac5889a644fa397e077c0f84dbd60d8721dd662ebf368483f038af",
        "df5b725c83b632d76fc5429d35eb797b0ab5198beefb2a0983f984fb286417f6",
        7,
    ),
    ("spoken", 3): (
        "336affcc3e260ab56b897bcf61bdd04d304d10f3028fab3c31a647920ef01f5d",
        "cd8f198c0b3e3c854b031a4fea18c9a5b210cec4cd7e236c243f227e9525221d",
        1437562952,
    ),
    ("spoken", 4): (
        "26b07f76a83d7ab4dd76bc7f0f2dd306bd1bbef19d126295d46adf53979a2f11",
        "cd8f198c0b3e3c854b031a4fea18c9a5b210cec4cd7e236c243f227e9525221d",
        684290821,
    ),
    ("other", 1): (
        "5bf1872dca7c6b4fc5a14cb7e2f6a14338550545d9a242fad38ae381795b8fd1",
        "b8bb4cc2732a3a3ecb921dfbfee7517c602d380ae2143f7876d145008fa1ddb1",
        2330582600,
    ),
    ("other", 2): (
        "ed5ddd3de523762c05128d84ccd2cdec9f6d838ddf19703a996b9d8b57e764ad",
        "482d2d91134486f2586f759b328427dccc561ebd3eb35d3d6143558eadf7f14a",
        7,
    ),
    ("other", 3): (
        "9130641a3417fa4168226d38e18e8f254ea83534b4992bfa0c0ccd7d6af7107f",
        "b8bb4cc2732a3a3ecb921dfbfee7517c602d380ae2143f7876d145008fa1ddb1",
        439621696,
    ),
    ("other", 4): (
        "1cde2561db73831820eb5fc3efaf03ec4228b4598852dbb17bf6f3d294d56318",
        "b8bb4cc2732a3a3ecb921dfbfee7517c602d380ae2143f7876d145008fa1ddb1",
        1913455425,
    ),
}
FINGERPRINTS = {  # by the profile and whether all takes are kept
    ("spoken", False): "6222fdfa1871ff837ebcd401c8039b8d493f132cfcccf448a9766cb4951a32e3",
    ("spoken", True): "be3166d0f330eea7e6a64fcccd56d2d1512f56022e580f7ebc6f3554e38660af",
    ("other", False): "4e8ccf36019e4f72be9dfab556b89e4cec5bfe8106ce98cf0df0090fe0ee18b3",
    ("other", True): "5132b23df93b7d41e0640fce32e102734860647daa4b1c9317cda3673a31333c",
}
DIALOGUE = (
    '{"turns":[[0,"Who is there?"],[1,"It is only me."]],"speakers":["A","B"],'
    f'"voices":[{{"name":"one","sha256":"{"o" * 64}","path":"/voices/one.wav","rate":1.0,"pitch":0.0}},'
    f'{{"name":"two","sha256":"{"t" * 64}","path":"/voices/two.wav","rate":1.2,"pitch":-2.0}}],"seed":684290821,'
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


def test_the_number_of_slots_changes_no_key(configs: Path) -> None:
    before = [(line.key, line.request.seed) for line in planned(configs, "other").lines]
    file = configs / "other.yaml"
    file.write_text(file.read_text().replace("slots: 8", "slots: 3"))
    profiles.load.cache_clear()
    assert [(line.key, line.request.seed) for line in planned(configs, "other").lines] == before
