#!/usr/bin/env python3
"""Where the time of a training step goes on a graphics processor, by CubeCL's own log.

    bench/gpu/profile.py [--ours PROGRAM] [--device vulkan] [--network cifar10] [--batch 256]
                         [--precision f32] [--steps 3]

Every kernel is waited for, so that the sum is more than a step takes; the shares are what counts, and
the kernels a step, since each takes the host some microseconds to start.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "against_pytorch"))
from bench import NETWORKS, table

SECONDS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
# `| 823.643µs  | FullKernel_59d5451a`: the hash is that of one compiled form of a kernel.
LINE = re.compile(r"\| ([\d.]+)(ns|µs|ms|s) *\| (.+)_[0-9a-f]{8}\b")


def kernels(log: str) -> dict[str, tuple[int, float]]:
    """Starts and seconds of each kernel."""
    found = collections.defaultdict(lambda: (0, 0.0))
    for number, unit, name in LINE.findall(log):
        # The types that a kernel was made for say nothing here.
        name = name.split(" | ")
        name = name[0] if len(name) > 2 else " ".join(name)
        count, seconds = found[name]
        found[name] = (count + 1, seconds + float(number) * SECONDS[unit])
    return dict(found)


def profile(arguments: argparse.Namespace) -> dict[str, tuple[int, float]]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        prepare = ["prepare", arguments.network, str(arguments.batch), folder]
        subprocess.run([arguments.ours, *prepare], check=True)
        command = [arguments.ours, "--device", arguments.device, "train", folder]
        worker = subprocess.Popen(
            [*command, "--precision", arguments.precision],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"CUBECL_DEBUG_LOG": str(log), "CUBECL_DEBUG_OPTION": "profile"},
            text=True,
        )
        # The first steps compile and tune.
        before = 0
        for steps in [3, arguments.steps]:
            before = log.stat().st_size if log.exists() else 0
            worker.stdin.write(json.dumps({"steps": steps}) + "\n")
            worker.stdin.flush()
            if not worker.stdout.readline():
                raise SystemExit(f"our side ended with status {worker.wait()}")
        worker.stdin.close()
        worker.wait()
        with log.open("rb") as file:
            file.seek(before)
            return kernels(file.read().decode(errors="replace"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    carried = Path(__file__).parent / "carry" / "against-pytorch"
    parser.add_argument("--ours", default=str(carried), help="the program that `pack` builds")
    parser.add_argument("--device", default="vulkan")
    parser.add_argument("--network", choices=NETWORKS, default="cifar10")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--precision", choices=["f32", "bf16", "f16"], default="f32")
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()
    found = profile(arguments)
    count = sum(count for count, _ in found.values()) / arguments.steps
    total = sum(seconds for _, seconds in found.values()) / arguments.steps
    rows = [["all", f"{count:.0f}", f"{1e3 * total:.2f}", "100 %"]]
    for name, (count, seconds) in sorted(found.items(), key=lambda item: -item[1][1]):
        count, seconds = count / arguments.steps, seconds / arguments.steps
        rows.append([name, f"{count:.0f}", f"{1e3 * seconds:.2f}", f"{100 * seconds / total:.0f} %"])
    title = f"{arguments.network}, batch {arguments.batch}, {arguments.precision}"
    table(title, ["kernel", "starts a step", "ms a step", "share"], rows)


if __name__ == "__main__":
    main()
