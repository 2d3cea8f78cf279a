"""Each part against transformers' module of the same weights."""

from __future__ import annotations

from functools import cache

import diffusers
import pytest
import torch
from transformers import VibeVoiceForConditionalGeneration
from transformers.models.vibevoice_acoustic_tokenizer.modeling_vibevoice_acoustic_tokenizer import (
    VibeVoiceAcousticTokenizerConv1dPaddingCache as PaddingCache,
)

from tests.support import tiny_model
from vvbatch.engine.vibevoice.device import Placement
from vvbatch.engine.vibevoice.diffusion import advance, schedule
from vvbatch.engine.vibevoice.key_values import BANK_ROWS, GROWTH, Banks, KeyValues
from vvbatch.engine.vibevoice.model import VibeVoice
from vvbatch.engine.vibevoice.ops import Int8Linear, int8_products

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process

SLOTS = 3


@cache
def modules() -> VibeVoiceForConditionalGeneration:
    model = VibeVoiceForConditionalGeneration(tiny_model.config()).eval()
    model.load_state_dict(tiny_model.tensors(1))
    return model


@pytest.fixture
def model() -> VibeVoice:
    placement = Placement(torch.device("cpu"), torch.float32, torch.float32)
    with torch.inference_mode():
        return VibeVoice(
            tiny_model.tensors(1).__getitem__, tiny_model.config(), [256, 257, 258, 259], 257, SLOTS, placement
        )


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 14, 15, 20, 50])
def test_the_solver_is_diffusers_bit_for_bit(steps: int) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    scheduler.set_timesteps(steps)
    torch.manual_seed(0)
    theirs = ours = torch.randn(4, 8)
    before = None
    for stage, timestep in zip(schedule(steps), scheduler.timesteps, strict=True):
        velocity = torch.randn(4, 8)
        theirs = scheduler.step(velocity, timestep, theirs).prev_sample
        estimate = stage.alpha * ours - stage.sigma * velocity
        ours, before = advance(stage, ours, estimate, before), estimate
        assert torch.equal(ours, theirs)


@torch.inference_mode()
def test_the_diffusion_head_gives_what_the_module_gives(model: VibeVoice) -> None:
    torch.manual_seed(1)
    hidden, noise = torch.randn(2 * SLOTS, tiny_model.SIZE), torch.randn(SLOTS, tiny_model.LATENT)
    scale = torch.tensor([[1.3], [2.0], [1.0]])
    found = model.head.sample(hidden, noise, scale, 5)
    head, x, before = modules().model.diffusion_head, noise, None
    for stage in schedule(5):
        velocity = head(x.repeat(2, 1), torch.full((2 * SLOTS,), float(stage.timestep)), condition=hidden)
        conditional, unconditional = velocity.split(SLOTS)
        estimate = stage.alpha * x - stage.sigma * (unconditional + scale * (conditional - unconditional))
        x, before = advance(stage, x, estimate, before), estimate
    torch.testing.assert_close(found, x, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_tokenizers_stream_like_the_modules_and_silent_slots_stand_still(model: VibeVoice) -> None:
    inner, acoustic, semantic = modules().model, PaddingCache(), PaddingCache()
    torch.manual_seed(2)
    for frame in range(5):
        latents = torch.randn(SLOTS, tiny_model.LATENT)
        slots = torch.arange(SLOTS) if frame % 2 == 0 else torch.tensor([2, 0])  # slot 1 pauses at frames 1 and 3
        audio = model.decode(latents[slots], slots)
        features = model.encoder(audio, slots)
        scaled = latents / model.scaling - model.bias
        kept = [{key: layer.cache[1].clone() for key, layer in cache.layers.items()} for cache in (acoustic, semantic)]
        their_audio = inner.audio_tower.decode(scaled[:, None], padding_cache=acoustic, use_cache=True).audio
        their_features = inner.semantic_tokenizer_encoder(their_audio, padding_cache=semantic, use_cache=True).latents
        torch.testing.assert_close(audio, their_audio[slots, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(features, their_features[slots, 0], atol=1e-3, rtol=1e-3)
        if len(slots) < SLOTS:
            for cache, old in zip((acoustic, semantic), kept, strict=True):
                for key, layer in cache.layers.items():
                    layer.cache[1] = old[key]


@torch.inference_mode()
def test_a_cleared_slot_begins_anew(model: VibeVoice) -> None:
    latents = torch.randn(SLOTS, tiny_model.LATENT, generator=torch.Generator().manual_seed(3))
    slots = torch.arange(SLOTS)
    first = model.decode(latents, slots)
    model.decode(latents, slots)
    model.forget(1)
    again = model.decode(latents, slots)
    assert torch.equal(again[1], first[1])
    assert not torch.equal(again[0], first[0])


@torch.inference_mode()
def test_the_language_model_in_pieces_and_steps_gives_what_the_module_gives_at_once(model: VibeVoice) -> None:
    language = model.language
    torch.manual_seed(4)
    x = torch.randn(40, tiny_model.SIZE)
    expected = modules().model.language_model(inputs_embeds=x[None]).last_hidden_state[0]
    cache = language.cache()
    other = (torch.randn(5, tiny_model.SIZE), language.cache())
    language.extend([(x[:17], cache), other])
    torch.testing.assert_close(language.extend([(x[17:30], cache)])[0], expected[29], atol=1e-4, rtol=1e-4)
    for position in range(30, 40):
        batch = torch.randn(4, tiny_model.SIZE)
        batch[2] = x[position]
        found = language.step(batch, [other[1], None, cache, None])
        cache.length += 1
        torch.testing.assert_close(found[2], expected[position], atol=1e-4, rtol=1e-4)


def test_a_cache_grows_with_its_context_and_keeps_what_it_holds() -> None:
    cache = KeyValues(torch.empty(2, 2, 1, 0, 4))
    for position in range(1500):
        cache.reserve(position + 1)
        cache.data[:, :, :, position] = position
        cache.length = position + 1
    assert cache.data.shape[3] < 1.5 * 1500 + 256
    assert (cache.data[1, 1, 0, :1500, 2] == torch.arange(1500)).all()


@torch.inference_mode()
def test_rows_in_banks_attend_as_rows_of_their_own_do(model: VibeVoice) -> None:
    """As on a GPU, here on the CPU: more rows than a bank has, rows that end, and rows that outgrow their bank."""
    alone, banked = model.language, model.language.first_layer()
    banked.layers, banked.banks = alone.layers, Banks()
    torch.manual_seed(7)
    count = BANK_ROWS + 3
    ours, theirs = [banked.cache() for _ in range(count)], [alone.cache() for _ in range(count)]
    for row in range(count):
        prompt = torch.randn(GROWTH - 3 + row if row < 3 else 2 + row, tiny_model.SIZE)
        torch.testing.assert_close(banked.extend([(prompt, ours[row])]), alone.extend([(prompt, theirs[row])]))
    for step in range(6):
        if step == 3:  # the row leaves NaN behind, and a new one takes its place
            ours[5].data.fill_(float("nan"))
            ours[5].release()
            ours[5], theirs[5] = banked.cache(), alone.cache()
        x = torch.randn(count + 1, tiny_model.SIZE)
        found, expected = banked.step(x, [*ours, None]), alone.step(x, [*theirs, None])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        for each in (*ours, *theirs):
            each.length += 1
    for each in ours:
        each.release()
    assert banked.banks.rows_in_use() == 0


int8 = pytest.mark.skipif(not int8_products(), reason="needs AVX-512 VNNI")


@int8
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_int8_products_are_the_products_of_rounded_factors(dtype: torch.dtype) -> None:
    torch.manual_seed(5)
    weight, bias, x = torch.randn(96, 200) / 14, torch.randn(96), torch.randn(6, 200).to(dtype)
    x[3] *= 1000
    x[4] = 0
    linear = Int8Linear(weight, bias, dtype, 6)
    scale = weight.abs().amax(1, keepdim=True) / 127
    rounded = (weight / scale).round() * scale
    unit = (x.float().abs().amax(1, keepdim=True).clamp(min=1e-30) / 126).to(dtype).float()
    expected = (x.float() / unit).round() * unit @ rounded.T + bias
    tolerance = 2e-6 if dtype == torch.float32 else 2e-2
    found = linear(x)
    assert found.dtype == dtype
    for row in range(6):
        error = (found[row].float() - expected[row]).norm() / expected[row].norm()
        assert error < tolerance, (row, error)
    assert torch.equal(linear.plus(x, x[:, :96]), linear(x) + x[:, :96])
    assert torch.equal(linear.times(x, x[:, :96]), linear(x) * x[:, :96])


@int8
@torch.inference_mode()
def test_an_int8_row_is_the_same_bits_among_any_others_and_nan_stays_in_its_row() -> None:
    torch.manual_seed(6)
    linear = Int8Linear(torch.randn(128, 320), None, torch.bfloat16, 32)
    x = torch.randn(32, 320).bfloat16()
    expected = linear(x)
    for row in (0, 13, 31):
        assert torch.equal(linear(x[row : row + 1])[0], expected[row])  # whatever the product's shape
    x[7, 3], x[9, 5] = float("nan"), float("inf")
    found = linear(x)
    others = [row for row in range(32) if row not in (7, 9)]
    assert torch.equal(found[others], expected[others])
    assert not found[7].isfinite().any()
    assert not found[9].isfinite().any()


def test_what_a_benchmark_says_of_the_machine_can_be_written_as_json() -> None:
    from vvbatch.cli.common import print_json
    from vvbatch.engine.bench.speed import machine

    print_json(machine("cpu"))
