"""Measure the peak memory of one contender, in a process that loads nothing else.

``python benchmarks/memory.py N4 512 512 1 tinympcnn train`` prints the peak, and the memory before the first run, which
is that of the libraries, the net and the image. ``cpu.py`` and ``nested_twins.py`` run this file for every contender.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

from contenders import Case, make


def peak_mb() -> float:
    """Return the peak memory of this process so far, in MB of 10**6 bytes."""
    try:  # what getrusage reports on Linux includes the process that started this one
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def memory(case: Case, contender: str, work: str) -> dict[str, float]:
    """Return the peak memory of one contender, and the memory of its imports, net and image, in a separate process."""
    args = [case.name, *map(str, case.size), str(case.n), contender, work]
    output = subprocess.run([sys.executable, __file__, *args], check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


if __name__ == "__main__":
    name, rows, columns, images, contender, work = sys.argv[1:]
    task = make(Case(name, (int(rows), int(columns)), int(images)), contender, work)
    before = peak_mb()
    for _ in range(2):
        task()
    print(json.dumps({"peak_mb": peak_mb(), "import_mb": before}))
