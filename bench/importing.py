"""`python -m bench.importing`: the time and the memory of importing an EPUB, in a process of its own.

The EPUB is made of sentences of the project's own suite: 1 MB of compressed pages with notes, initials and breaks,
and one of 100,000 words.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.manuscripts import Epub, entry

WORDS = (Path(__file__).parent / "quality_sentences.txt").read_text(encoding="utf-8").split()


def epub(words: int, folder: Path) -> Path:
    """A book of chapters of 4,000 words. Its words are drawn for each paragraph."""
    generator = random.Random(words)
    pages: dict[str, str | bytes] = {}
    toc = ""
    for number in range(1, max(words // 4000, 1) + 1):
        body, notes = [f"<h1>Chapter {number}</h1>"], []
        for count in range(50):
            text = " ".join(generator.choice(WORDS) for _ in range(80))
            if count % 10 == 0:
                mark = f"n{count}"
                notes.append(f'<p id="{mark}"><a href="#r{mark}">{count}</a> {text[:80]}</p>')
                text += f'<sup><a id="r{mark}" href="#{mark}">{count}</a></sup>'
            body.append(f"<p>{text}.</p>" if count else f'<p><span class="dropcap">T</span>he {text}.</p>')
            body += ["<hr/>"] if count == 25 else []
        pages[f"c{number}.xhtml"] = "\n".join([*body, "<h2>Notes</h2>", *notes])
        toc += entry(f"Chapter {number}", f"c{number}.xhtml")
    return Epub(pages, toc).write(folder, f"{words}.epub")


def measured(path: Path, script: Path) -> tuple[float, float]:
    """Seconds of `vvbatch import`, and the most memory of it in MB."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "vvbatch", "import", str(path), "-o", str(script), "--force"], stdout=subprocess.DEVNULL
    ) as process:
        process.wait()
    wall_s = time.perf_counter() - begin
    assert process.returncode == 0
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return wall_s, peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, nargs="+", default=[100_000, 440_000])
    with tempfile.TemporaryDirectory() as folder:
        for words in parser.parse_args().words:
            path = epub(words, Path(folder))
            for round_ in ("first", "again"):
                wall_s, peak_mb = measured(path, Path(folder, "book.yaml"))
                size_mb = path.stat().st_size / 1e6
                print(f"{words:,} words, {size_mb:.2f} MB, {round_}: {wall_s:.2f} s, {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
