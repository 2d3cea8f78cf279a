"""Continuous batching: every step gives each line that speaks its next frame; a line that ends makes room for
another."""

from __future__ import annotations

import math
import platform
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from torch import Tensor

from vvbatch.engine.contract import (
    SAMPLE_RATE,
    VERSIONS,
    Chunk,
    EngineFacts,
    Event,
    Failed,
    Finished,
    Request,
    RequestRefused,
    Voice,
)
from vvbatch.engine.vibevoice import device as devices
from vvbatch.engine.vibevoice.checkpoint import Checkpoint
from vvbatch.engine.vibevoice.model import VibeVoice
from vvbatch.engine.vibevoice.prompt import Tokens, cast
from vvbatch.engine.vibevoice.shape import StepShape, checked
from vvbatch.engine.vibevoice.utterance import Prefixes, Utterance
from vvbatch.engine.vibevoice.voice_latents import VoiceLatents
from vvbatch.machine import threads_of
from vvbatch.models.integrity import require_ready
from vvbatch.models.snapshot import snapshot
from vvbatch.profiles import Profile

PIECE = 256
"""Prompt tokens that go through the language model at once. Pieces begin where prefix and text begin, so a line's
bits do not depend on what was cached."""
PROMPT_TOKENS_A_STEP = 512
"""So much prompt is read between two frames of the lines that speak already."""
PROMPTS_A_PASS, TOKENS_A_PASS = 4, 160
"""Short pieces of so many prompts, and of so many tokens in all, are read in one pass over the weights."""
BUDGET_TIMES = 2
"""A line ends as a runaway after so many tokens for each token of its prompt, as in the original."""


class VibeVoiceEngine:
    """`vvbatch.engine.Engine` for VibeVoice models."""

    def __init__(
        self,
        model: VibeVoice,
        tokens: Tokens,
        voices: VoiceLatents,
        facts: EngineFacts,
        voice_seed: int | None = None,
        shape: StepShape | None = None,
    ) -> None:
        """`shape` as the model was checked; None: check it now."""
        self.model, self.tokens, self.voices, self.facts = model, tokens, voices, facts
        self.shape = shape or checked(model)
        self.voice_seed = voice_seed
        self.slots = model.slots
        self.keep_latents = False
        self.synchronised = False  # wait for the device after each part, so that `seconds` are the parts' own
        self.seconds: defaultdict[str, float] = defaultdict(float)  # spent in each part since the beginning
        self._choices = sorted({tokens.stop, tokens.start, tokens.end, tokens.frame})
        self._utterances: list[Utterance | None] = [None] * self.slots
        self.reading: deque[int] = deque()  # slots whose prompt is still being read, first come first served
        self._prefixes = Prefixes()
        size, placement = model.language.size, model.placement
        # Of both branches; the last slot is the scratch slot.
        self._hidden = torch.zeros(2, self.slots + 1, size, dtype=placement.language, device=placement.device)
        self._inputs = torch.zeros_like(self._hidden[0])
        self._scores = torch.zeros(self.slots, len(self._choices))
        self._control = {token: model.language.embed([token])[0] for token in (tokens.start, tokens.end, tokens.stop)}

    @classmethod
    def open(cls, profile: Profile, cache: Path, where: devices.Placement | None = None) -> VibeVoiceEngine:
        """Load the profile's model at `where`, by default where the profile says. Raises EngineUnavailable."""
        require_ready(profile, cache / "models")
        where = where or devices.placement_for(profile)
        folder = snapshot(profile.model.repo, profile.model.revision)
        tokens = Tokens(tokenizer_folder(profile, folder))
        checkpoint = Checkpoint(folder)
        devices.check_fits(profile, devices.needed_bytes(checkpoint, where, profile.slots), where.device)
        torch.set_num_threads(threads_of(profile))
        with torch.inference_mode():
            choices = sorted({tokens.stop, tokens.start, tokens.end, tokens.frame})
            model = VibeVoice(checkpoint.tensor, checkpoint.config, choices, tokens.start, profile.slots, where)
        checkpoint.close()
        shape = checked(model)
        identity = f"{profile.model.repo}@{profile.model.revision};{checkpoint.identity()}"
        facts = EngineFacts(
            engine="vibevoice",
            version=VERSIONS["vibevoice"],
            model=profile.model.repo,
            revision=folder.name if folder.parent.name == "snapshots" else profile.model.revision,
            device=str(where.device),
            dtype=where.dtype,
            details={
                "language_dtype": str(where.language).removeprefix("torch."),
                "audio_dtype": str(where.audio).removeprefix("torch."),
                "requested": f"{profile.device}/{profile.dtype}",
                "slots": shape.slots,
                "step_shape": shape.mode,
                "independent": shape.independent,
                "threads": torch.get_num_threads(),
                "torch": str(torch.__version__),  # a subclass, which no JSON encoder knows
                "transformers": transformers.__version__,
                "machine": platform.machine(),
            },
        )
        voices = VoiceLatents(cache / "voices", checkpoint, identity)
        return cls(model, tokens, voices, facts, profile.generation.voice_seed, shape)

    def read_voices(self, voices: Sequence[Voice]) -> None:
        """Encode voices into the cache before the first line needs them. Raises RequestRefused."""
        with torch.inference_mode():
            self.voices.get(tuple(voices))

    def admit(self, request: Request) -> None:
        """Occupy a free slot. Raises RequestRefused."""
        self.start(request)

    def start(self, request: Request, max_tokens: int | None = None) -> Utterance:
        """`admit` with a lower budget of tokens; returns the line, for measurements."""
        slot = self._utterances.index(None)
        turns, voices = cast(request)
        with torch.inference_mode():
            generator = torch.Generator().manual_seed(request.seed)
            latents = self._noised(self.voices.get(voices), generator)
            prompt = self.tokens.prompt(turns, [len(voice) for voice in latents])
            budget = BUDGET_TIMES * len(prompt)
            if max_tokens is not None:
                budget = min(budget, max_tokens)
            longest = int(self.model.config.text_config.max_position_embeddings)
            if len(prompt) >= longest:
                raise RequestRefused(f"the prompt has {len(prompt)} tokens, the model reads at most {longest}")
            utterance = Utterance(
                request=request,
                generator=generator,
                prompt=prompt,
                voices=latents,
                prefix_key=self._prefix_key(request, voices),
                tokens_left=min(budget, longest - len(prompt)),
                frames_left=self._frames(request.max_duration_s),
                cache=self.model.language.cache(),
                negative=self.model.language.cache(),
                admitted=time.perf_counter(),
            )
            self._utterances[slot] = utterance
            self.reading.append(slot)
            self.model.forget(slot)
        return utterance

    def step(self) -> list[Event]:
        """Read some prompt, then give every line that is ready its next token, and its frame if it speaks."""
        with torch.inference_mode():
            with self._timed("prompt"):
                self._read_prompts()
            ready = [
                (slot, utterance)
                for slot, utterance in enumerate(self._utterances)
                if utterance and slot not in self.reading
            ]
            if not ready:
                return []
            events: list[Event] = []
            self._scores = self.model.scores(self._hidden[0, : self.slots])
            speaking = [(slot, utterance) for slot, utterance in ready if self._next_token(slot, utterance, events)]
            if speaking:
                self._speak(speaking, events)
            for slot, utterance in ready:
                if self._utterances[slot] is utterance and (utterance.tokens_left <= 0 or utterance.frames_left <= 0):
                    self._finish(slot, utterance, events, runaway=True)
            with self._timed("language"):
                self._think([(slot, utterance) for slot, utterance in ready if self._utterances[slot] is utterance])
            return events

    def cancel(self, request_id: str) -> None:
        with torch.inference_mode():
            for slot, utterance in enumerate(self._utterances):
                if utterance and utterance.request.id == request_id:
                    self._free(slot)

    def close(self) -> None:
        """Give the memory back; the engine cannot be used afterwards."""
        self._utterances = [None] * self.slots
        self.reading.clear()
        self._prefixes = Prefixes()
        del self.model, self.voices
        if self.facts.device.startswith("cuda"):
            torch.cuda.empty_cache()

    # Admission

    def _noised(self, latents: list[Tensor], generator: torch.Generator) -> list[Tensor]:
        """Voice latents with the noise that the original adds, drawn as it draws it: for all voices padded to the
        longest."""
        source = generator if self.voice_seed is None else torch.Generator().manual_seed(self.voice_seed)
        count, size, longest = len(latents), self.model.latent_size, max(len(voice) for voice in latents)
        spread = torch.randn(count, generator=source) * self.model.config.audio_config.vae_std
        noise = torch.empty(count, size, longest).permute(0, 2, 1).normal_(generator=source)
        return [voice + spread[row] * noise[row, : len(voice)] for row, voice in enumerate(latents)]

    def _prefix_key(self, request: Request, voices: tuple[Voice, ...]) -> tuple[object, ...]:
        seed = request.seed if self.voice_seed is None else None
        return (seed, *(voice.sha256 for voice in voices))

    def _frames(self, duration_s: float | None) -> float:
        if duration_s is None:
            return math.inf
        return max(1, math.floor(duration_s * SAMPLE_RATE / self.model.frame_samples))

    # Prompts

    def _read_prompts(self) -> None:
        left = PROMPT_TOKENS_A_STEP
        while self.reading and left > 0:
            together = self._next_prompts()
            pieces = [(pieces.popleft(), utterance.cache) for _, utterance, pieces in together]
            left -= sum(len(piece) for piece, _ in pieces)
            hidden = self.model.language.extend(pieces)
            for row, (slot, utterance, rest) in enumerate(together):
                self._hidden[0, slot] = hidden[row]
                length = utterance.cache.length
                if length == len(utterance.prompt.prefix):
                    self._prefixes.put(utterance.prefix_key, utterance.cache.data[:, :, :, :length].clone())
                if not rest:
                    self.reading.remove(slot)
                    self._hidden[1, slot] = self.model.first_negative
                    utterance.negative.load(self.model.first_negative_cache)
                    utterance.negative.length = 0  # it stays only if the first token is a frame

    def _next_prompts(self) -> list[tuple[int, Utterance, deque[Tensor]]]:
        """The lines whose next pieces are read in the next pass: first come, first served, and several if the shape
        allows it. A line whose prefix another line is reading waits for it, and those behind it wait too."""
        together: list[tuple[int, Utterance, deque[Tensor]]] = []
        tokens, prefixes = 0, set()
        for slot in self.reading:
            utterance = self._utterances[slot]
            assert utterance is not None
            if utterance.prefix_key in prefixes:
                break
            pieces = utterance.pieces
            if pieces is None:
                pieces = utterance.pieces = self._pieces(utterance)
            tokens += len(pieces[0])
            if together and tokens > TOKENS_A_PASS:
                break
            together.append((slot, utterance, pieces))
            if utterance.cache.length < len(utterance.prompt.prefix):
                prefixes.add(utterance.prefix_key)
            if len(together) == (PROMPTS_A_PASS if self.shape.following else 1):
                break
        return together

    def _pieces(self, utterance: Utterance) -> deque[Tensor]:
        """The inputs (tokens, size) that the line's cache lacks; a prefix that is kept is loaded into it."""
        pieces: deque[Tensor] = deque()
        prefix = self._prefixes.get(utterance.prefix_key)
        if prefix is None:
            pieces.extend(torch.split(self._prefix_inputs(utterance), PIECE))
        else:
            utterance.cache.load(prefix)
            utterance.prefix_cached = True
        pieces.extend(torch.split(self.model.language.embed(utterance.prompt.text), PIECE))
        return pieces

    def _prefix_inputs(self, utterance: Utterance) -> Tensor:
        inputs = self.model.language.embed(utterance.prompt.prefix)
        frames = torch.tensor(utterance.prompt.prefix, device=inputs.device) == self.tokens.frame
        inputs[frames] = torch.cat([self.model.voice_inputs(voice) for voice in utterance.voices])
        return inputs

    # One step

    def _next_token(self, slot: int, utterance: Utterance, events: list[Event]) -> bool:
        """Choose the line's next token and carry it out. True when it is a frame."""
        token = self._choose(slot, utterance)
        if token is None:
            self._fail(slot, utterance, "the token scores became NaN or infinite", events)
            return False
        utterance.tokens.append(token)
        utterance.tokens_left -= 1
        if token == self.tokens.stop:
            self._finish(slot, utterance, events, runaway=False)
            return False
        if token == self.tokens.frame:
            utterance.negative.length += 1
            return True
        if token == self.tokens.start:
            utterance.negative.length = 0
        else:
            self.model.forget(slot)
        self._inputs[slot] = self._control[token]
        return False

    def _choose(self, slot: int, utterance: Utterance) -> int | None:
        scores = self._scores[slot]
        if not scores.isfinite().all():
            return None
        if utterance.request.temperature == 0:
            return self._choices[int(scores.argmax())]
        chances = (scores / utterance.request.temperature).softmax(-1)
        return self._choices[int(torch.multinomial(chances, 1, generator=utterance.generator))]

    def _speak(self, speaking: list[tuple[int, Utterance]], events: list[Event]) -> None:
        slots = self._rows([slot for slot, _ in speaking])
        with self._timed("diffusion"):
            latents = self._sample(speaking, slots)
        with self._timed("decoder"):
            audio = self.model.decode(latents, slots)
        with self._timed("encoder"):
            self._inputs[slots] = self.model.frame_inputs(latents, audio, slots)
        made = torch.cat([audio, latents], 1)[: len(speaking)].cpu()  # one copy, and so one wait for the device
        finite = made.isfinite().all(1).tolist()
        samples, kept = made[:, : audio.shape[1]], made[:, audio.shape[1] :]
        for row, (slot, utterance) in enumerate(speaking):
            if not finite[row]:
                self._fail(slot, utterance, "latents or audio became NaN or infinite", events)
                continue
            utterance.frames += 1
            utterance.frames_left -= 1
            if utterance.first_chunk_s is None:
                utterance.first_chunk_s = time.perf_counter() - utterance.admitted
            if self.keep_latents:
                utterance.latents.append(kept[row].clone())
            events.append(Chunk(utterance.request.id, samples[row].clone().numpy()))

    def _sample(self, speaking: list[tuple[int, Utterance]], slots: Tensor) -> Tensor:
        """Latents (rows, latent) of `slots`. Lines with another number of diffusion steps get a pass of their own."""
        device = self.model.placement.device
        noise = torch.zeros(len(slots), self.model.latent_size)
        scale = torch.ones(len(slots), 1)
        for row, (_, utterance) in enumerate(speaking):
            # The original draws for both branches and starts both from the conditional one's.
            noise[row] = torch.randn(2, self.model.latent_size, generator=utterance.generator)[0]
            scale[row] = utterance.request.cfg_scale
        noise, scale, hidden = noise.to(device), scale.to(device), self._hidden[:, slots]
        latents = torch.zeros_like(noise)
        for steps in sorted({utterance.request.steps for _, utterance in speaking}):
            group = [row for row, (_, utterance) in enumerate(speaking) if utterance.request.steps == steps]
            rows = torch.tensor(self.shape.filled(group, scratch=0), device=device)
            sampled = self.model.head.sample(hidden[:, rows].flatten(0, 1), noise[rows], scale[rows], steps)
            latents[rows[: len(group)]] = sampled[: len(group)]
        return latents

    def _think(self, utterances: list[tuple[int, Utterance]]) -> None:
        """The next token's hidden states, of both branches in one pass. Whether the unconditional branch keeps its
        input is known when that token is: its position is written again if not."""
        if not utterances:
            return
        slots = self._rows([slot for slot, _ in utterances])
        empty = [None] * (len(slots) - len(utterances))
        caches = [*(each.cache for _, each in utterances), *empty, *(each.negative for _, each in utterances), *empty]
        hidden = self.model.language.step(self._inputs[slots].repeat(2, 1), caches)
        self._hidden[:, slots] = hidden.view(2, len(slots), -1)
        for _, utterance in utterances:
            utterance.cache.length += 1

    def _rows(self, slots: list[int]) -> Tensor:
        """The slots that a step computes for these."""
        return torch.tensor(self.shape.filled(slots, scratch=self.slots), device=self.model.placement.device)

    # Endings

    def _finish(self, slot: int, utterance: Utterance, events: list[Event], runaway: bool) -> None:
        metrics = {
            "frames": utterance.frames,
            "tokens": len(utterance.tokens),
            "prompt_tokens": len(utterance.prompt),
            "reach_max_step": utterance.tokens_left <= 0 and runaway,
            "prefix_cached": utterance.prefix_cached,
            "first_chunk_s": utterance.first_chunk_s,
            "step_shape": {
                "mode": self.shape.mode,
                "slots": self.slots,
                "rows": 2 * self.slots,  # of the language model, at most
                "diffusion_steps": utterance.request.steps,
            },
            "peak_bytes": devices.peak_bytes(),
        }
        events.append(Finished(utterance.request.id, runaway=runaway, metrics=metrics))
        self._free(slot)

    def _fail(self, slot: int, utterance: Utterance, what: str, events: list[Event]) -> None:
        events.append(
            Failed(utterance.request.id, f"{what} at step {len(utterance.tokens)} (frame {utterance.frames + 1})")
        )
        self._free(slot)

    def _free(self, slot: int) -> None:
        utterance, self._utterances[slot] = self._utterances[slot], None
        if utterance:
            utterance.cache.release()
            utterance.negative.release()
        if slot in self.reading:
            self.reading.remove(slot)
        self._hidden[:, slot] = 0
        self._inputs[slot] = 0

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        if self.synchronised and self.facts.device.startswith("cuda"):
            torch.cuda.synchronize()
        self.seconds[part] += time.perf_counter() - begun


def tokenizer_folder(profile: Profile, model: Path) -> Path:
    """The folder that holds tokenizer.json: the model's own, or the tokenizer's repo for the original layout."""
    if profile.model.tokenizer_repo is None:
        return model
    return snapshot(profile.model.tokenizer_repo, profile.model.tokenizer_revision or "main")
