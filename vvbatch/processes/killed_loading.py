"""Why a worker was killed by a signal while it loaded its model: the likely cause, and the memory that it needed."""

from __future__ import annotations

import signal

from vvbatch import machine, profiles
from vvbatch.models.inventory import needed_memory
from vvbatch.models.slots import with_slots

CAUSES = {
    signal.SIGKILL: "memory ran out and the system ended the largest process",
    signal.SIGILL: "a package was built for a newer processor: install a build for this one",
    signal.SIGBUS: "a file of the model or of a package is cut short, or its disk fails: verify or reinstall it",
    signal.SIGSEGV: "a fault in a package with native code: reinstall torch or onnxruntime, or try another version",
    signal.SIGABRT: "a package with native code stopped by itself, often for want of memory",
    signal.SIGFPE: "a fault in a package with native code: reinstall torch or onnxruntime, or try another version",
    signal.SIGXCPU: "a limit on CPU time: see `ulimit -t`",
    signal.SIGXFSZ: "a limit on the size of files: see `ulimit -f`",
    signal.SIGTERM: "another program or user ended it",
}


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def killed_while_loading(profile_name: str, number: int, times: int) -> str:
    """One sentence with the signal, its likely cause, and the memory that is needed and free. Raises ProfileError."""
    profile = with_slots(profiles.load(profile_name))
    cause = CAUSES.get(signal.Signals(number)) if number in signal.Signals.__members__.values() else None
    needed, found = needed_memory(profile), machine.memory()
    needs = "an unknown amount of memory" if needed is None else f"about {needed / 1e9:.1f} GB"
    return (
        f"the worker of profile {profile_name!r} was killed by {signal_name(number)} {times} times while it loaded its "
        f"model; the likely cause: {cause or 'another program or user ended it'}. It needs {needs}, "
        f"{found.free / 1e9:.1f} GB of {found.total / 1e9:.1f} GB are free: close other programs, lower `slots` (now "
        f"{profile.slots}), or choose a smaller model"
    )
