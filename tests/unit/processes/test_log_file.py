from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import subprocess, sys
from pathlib import Path
from vvbatch.processes.log_file import output_to

print("before")
sys.stdout.flush()
with output_to(Path(sys.argv[1]), file_bytes=2000, kept=3):
    for number in range(400):
        print("line", number, "x" * 20, flush=True)
    subprocess.run([sys.executable, "-c", "import sys; print('of a child', file=sys.stderr)"])
print("after")
"""


@pytest.mark.slow
def test_what_a_process_and_its_children_say_goes_into_rotated_files(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "service.log"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(log)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["before", "after"]
    files = [log.with_name(f"service.log.{number}") for number in (3, 2, 1)] + [log]
    assert all(file.stat().st_size <= 2000 for file in files)
    assert not log.with_name("service.log.4").exists()
    lines = "".join(file.read_text() for file in files).splitlines()
    assert lines[-1] == "of a child"
    numbers = [int(line.split()[1]) for line in lines[:-1]]
    assert numbers == list(range(numbers[0], 400))
