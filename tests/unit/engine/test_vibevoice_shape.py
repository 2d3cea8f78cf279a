"""A line's bits do not depend on the lines in the other slots, whatever the shape of the steps; and the check that
decides the shape finds what would break that."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import ROOT
from tests.support import tiny_model
from tests.support.vibevoice import profile, render, request, voice
from vvbatch.engine.contract import Chunk, Request, Voice
from vvbatch.engine.vibevoice import VibeVoiceEngine, ops
from vvbatch.engine.vibevoice.codec import AcousticDecoder, Block, SemanticEncoder
from vvbatch.engine.vibevoice.device import exact_placement
from vvbatch.engine.vibevoice.diffusion import DiffusionHead
from vvbatch.engine.vibevoice.key_values import Banks
from vvbatch.engine.vibevoice.language import LanguageModel
from vvbatch.engine.vibevoice.model import Connector, VibeVoice
from vvbatch.engine.vibevoice.ops import int8_products
from vvbatch.engine.vibevoice.shape import StepShape, checked

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process

SLOTS = 5


@dataclass(frozen=True)
class Visit:
    """A line that is admitted at a step, and cancelled some steps later if it has not ended."""

    begin: int
    text: str
    seed: int
    voices: int
    cfg_scale: float
    steps: int
    temperature: float
    max_duration_s: float
    cancel_after: int | None

    def request(self, name: str, cast: Sequence[Voice]) -> Request:
        return request(
            name,
            cast[: self.voices],
            self.text,
            seed=self.seed,
            cfg_scale=self.cfg_scale,
            steps=self.steps,
            temperature=self.temperature,
            max_duration_s=self.max_duration_s,
        )


VISITS = st.lists(
    st.builds(
        Visit,
        begin=st.integers(0, 8),
        text=st.sampled_from(["Yes.", "Who's there?", "It was a long and rather windy night."]),
        seed=st.integers(0, 2),
        voices=st.sampled_from([1, 2]),
        cfg_scale=st.sampled_from([1.0, 1.3, 2.5]),
        steps=st.sampled_from([2, 3]),
        temperature=st.sampled_from([0.0, 0.7]),
        max_duration_s=st.sampled_from([0.4, 0.8]),
        cancel_after=st.sampled_from([None, None, 1, 4]),
    ),
    min_size=2,
    max_size=9,
)


def spoken(engine: VibeVoiceEngine, visits: Sequence[Visit], cast: Sequence[Voice]) -> Mapping[str, list[np.ndarray]]:
    """The chunks of each line, by its number. Lines that find no free slot are admitted later."""
    waiting = sorted(enumerate(visits), key=lambda item: item[1].begin)
    chunks: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    live: dict[str, tuple[int, Visit]] = {}
    step = 0
    while waiting or live:
        for name, (admitted, visit) in list(live.items()):
            if visit.cancel_after is not None and step - admitted >= visit.cancel_after:
                engine.cancel(name)
                del live[name]
        while waiting and waiting[0][1].begin <= step and len(live) < engine.slots:
            number, visit = waiting.pop(0)
            engine.admit(visit.request(str(number), cast))
            live[str(number)] = (step, visit)
        for event in engine.step():
            if isinstance(event, Chunk):
                chunks[event.request_id].append(event.samples)
            else:
                del live[event.request_id]
        step += 1
    return chunks


def alone(engine: VibeVoiceEngine, visit: Visit, cast: Sequence[Voice]) -> np.ndarray:
    """The whole line, rendered with no other."""
    return render(engine, [visit.request("alone", cast)])["alone"].audio


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> list[Voice]:
    folder = tmp_path_factory.mktemp("voices")
    return [voice(folder, "alice", 4, seed=1), voice(folder, "bob", 6, seed=2, extra=700)]


INT8 = pytest.param(("int8", 1), marks=pytest.mark.skipif(not int8_products(), reason="needs AVX-512 VNNI"))


@pytest.fixture(
    scope="module",
    params=[("float32", 1), ("float32", 2), ("bfloat16", 1), ("float16", 1), INT8],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def loaded(
    request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VibeVoiceEngine]:
    """Mostly with one thread: several wait for each other in so small products, minutes on a busy machine."""
    dtype, threads = request.param
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    where = exact_placement("cpu", dtype)
    yield VibeVoiceEngine.open(profile(tiny, SLOTS, dtype), tmp_path_factory.mktemp("cache"), where)
    torch.set_num_threads(before)


@pytest.fixture(params=["following", "fixed", "banks"])
def company(request: pytest.FixtureRequest, loaded: VibeVoiceEngine) -> Iterator[VibeVoiceEngine]:
    """An engine with either shape, where it may have it; with the attention that GPUs have."""
    found = loaded.shape
    if request.param != "fixed" and not found.following:
        pytest.skip("a row's bits depend on the number of rows here")
    if not found.independent:
        pytest.skip("a row's bits depend on its place here")
    loaded.shape = replace(found, following=request.param != "fixed")
    loaded.model.language.banks = Banks() if request.param == "banks" else None
    yield loaded
    loaded.shape = found
    if loaded.model.language.banks:
        assert loaded.model.language.banks.rows_in_use() == 0
        loaded.model.language.banks = None


@pytest.mark.slow
@given(visits=VISITS)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_line_has_the_same_bits_alone_and_among_lines_that_join_and_leave(
    company: VibeVoiceEngine, cast: list[Voice], visits: list[Visit]
) -> None:
    chunks = spoken(company, visits, cast)
    for number, visit in enumerate(visits):
        samples = np.concatenate([np.zeros(0, np.float32), *chunks[str(number)]])
        whole = alone(company, visit, cast)
        assert len(samples) == len(whole) or visit.cancel_after is not None
        assert np.array_equal(samples, whole[: len(samples)])


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_engines_of_any_size_and_both_shapes_give_the_same_bits(
    threads: int, tiny: Path, tmp_path: Path, cast: list[Voice]
) -> None:
    """Where the check allows the following shape, a line does not depend on the number of slots either."""
    lines = [request(str(number), cast[: 1 + number % 2], seed=number, max_duration_s=0.6) for number in range(6)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        engines = [VibeVoiceEngine.open(profile(tiny, slots), tmp_path) for slots in (1, 6, 48)]
        assert all(engine.shape.following for engine in engines)
        results = [render(engine, lines) for engine in engines]
        engines[1].shape = replace(engines[1].shape, following=False)
        results.append(render(engines[1], lines))
    finally:
        torch.set_num_threads(before)
    for one in lines:
        first, *others = [result[one.id].audio for result in results]
        assert len(first) > 0
        assert all(np.array_equal(first, other) for other in others)


ANOTHER_CPU = """
import sys
from pathlib import Path
import numpy as np
from tests.support.vibevoice import profile, render, request, voice
from vvbatch.engine.vibevoice import VibeVoiceEngine
model, scratch = Path(sys.argv[1]), Path(sys.argv[2])
cast = [voice(scratch, "alice", 4, seed=1), voice(scratch, "bob", 6, seed=2, extra=700)]
engine = VibeVoiceEngine.open(profile(model, 8), scratch)
lines = [request(str(number), cast[: 1 + number % 2], seed=number, max_duration_s=0.6) for number in range(8)]
together = render(engine, lines)
for one in lines:
    alone = render(engine, [one])[one.id].audio
    assert np.array_equal(alone, together[one.id].audio), one.id
print(engine.shape.independent)
"""


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["SSE41", "AVX", "AVX2", "AVX512_CORE"])
def test_lines_keep_their_bits_on_cpus_with_other_instructions(instructions: str, tiny: Path, tmp_path: Path) -> None:
    """oneDNN takes other kernels; a name that this CPU does not have changes nothing."""
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_CPU, str(tiny), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"


@pytest.mark.slow
def test_plain_products_get_a_shape_in_which_lines_keep_their_bits(
    tiny: Path, tmp_path: Path, cast: list[Voice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "packs", lambda device, dtype: False)
    engine = VibeVoiceEngine.open(profile(tiny, 8), tmp_path)
    assert engine.facts.details["step_shape"] == engine.shape.mode
    lines = [request(str(number), cast[:1], seed=number, max_duration_s=0.6) for number in range(8)]
    together = render(engine, lines)
    equal = [np.array_equal(together[one.id].audio, render(engine, [one])[one.id].audio) for one in lines]
    assert all(equal) or not engine.shape.independent


def test_a_fixed_shape_is_filled_up_and_a_following_one_is_not() -> None:
    assert StepShape(4, following=True, independent=True).filled([2, 0], scratch=4) == [2, 0]
    assert StepShape(4, following=False, independent=True).filled([2, 0], scratch=4) == [2, 0, 4, 4]


@pytest.fixture
def model() -> VibeVoice:
    with torch.inference_mode():
        return VibeVoice(
            tiny_model.tensors(1).__getitem__,
            tiny_model.config(),
            [256, 257, 258, 259],
            257,
            SLOTS,
            exact_placement("cpu", "float32"),
        )


Fault = Callable[[Tensor], Tensor]


def by_count(result: Tensor) -> Tensor:
    """Bits that depend on the number of rows, as a library gives them that takes another kernel for few."""
    return result * (1 + 2**-20) if len(result) in (1, 2) else result


def by_place(result: Tensor) -> Tensor:
    """Bits that depend on the row's place."""
    result = result.clone()
    result[0] *= 1 + 2**-20
    return result


PARTS: Mapping[str, tuple[type, str]] = {
    "language": (LanguageModel, "step"),
    "scores": (VibeVoice, "scores"),
    "diffusion": (DiffusionHead, "solve"),
    "decoder": (AcousticDecoder, "__call__"),
    "encoder": (SemanticEncoder, "__call__"),
    "connectors": (Connector, "__call__"),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("fault", "independent"), [(by_count, True), (by_place, False)])
def test_the_check_finds_a_part_whose_bits_depend_on_other_rows(
    model: VibeVoice, part: str, fault: Fault, independent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, method = PARTS[part]
    right = getattr(owner, method)

    def wrong(*arguments: object) -> Tensor:
        result: Tensor = right(*arguments)
        if part != "language":
            return fault(result)
        by_line = result.view(2, len(result) // 2, -1).transpose(0, 1)  # it has a row for each branch
        return fault(by_line).transpose(0, 1).flatten(0, 1)

    monkeypatch.setattr(owner, method, wrong)
    shape = checked(model)
    assert not shape.following
    assert shape.independent == independent


def test_the_check_finds_modulations_of_a_later_step_whose_bits_depend_on_the_number_of_rows(
    model: VibeVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = DiffusionHead.modulations

    def wrong(head: DiffusionHead, hidden: Tensor, times: Tensor) -> list[Tensor]:
        results = right(head, hidden, times)
        results[1][-1] *= 1 + 2**-20 * (len(hidden) <= 4)
        return results

    monkeypatch.setattr(DiffusionHead, "modulations", wrong)
    assert checked(model) == StepShape(SLOTS, following=False, independent=True)


def test_a_chain_of_first_blocks_has_each_shape_of_layer_once(model: VibeVoice) -> None:
    for chain in (model.decoder, model.encoder):
        kept = [layer for layer in chain.first_blocks().layers if isinstance(layer, Block)]
        assert len({layer.context.buffer.shape for layer in kept}) == len(kept)
        assert {layer.context.buffer.shape for layer in kept} == {
            layer.context.buffer.shape for layer in chain.layers if isinstance(layer, Block)
        }


def test_the_check_finds_prompts_whose_bits_depend_on_those_read_with_them(
    model: VibeVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = type(model.language).extend
    monkeypatch.setattr(
        type(model.language), "extend", lambda self, pieces: right(self, pieces) * (1 + 2**-20 * (len(pieces) > 1))
    )
    assert checked(model) == StepShape(SLOTS, following=False, independent=True)


def test_the_check_leaves_nothing_in_the_tokenizers(model: VibeVoice) -> None:
    checked(model)
    assert not any(context.past.any() for context in (*model.decoder.contexts(), *model.encoder.contexts()))


@pytest.mark.parametrize("size", [7, 16, 33, 4099])
def test_silu_gives_an_element_the_same_bits_at_every_place(size: int) -> None:
    x = 3 * torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    whole = ops.silu(x)
    for start in (0, 1, 5, 1000):
        assert torch.equal(ops.silu(x[start : start + size].clone()), whole[start : start + size])
    torch.testing.assert_close(whole, torch.nn.functional.silu(x), atol=1e-6, rtol=1e-6)
