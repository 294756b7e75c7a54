"""Exact nearest neighbours: lsoftmax against numpy and PyTorch.

    bench/retrieval/run [--probes N] [--gallery N] [--columns N] [--k N] [--rounds N] [--out FILE.json]

Every search is a process of its own, since the peak of a process's memory cannot be set back; the
sides take turns (A B C A B C ...).
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
OURS = "lsoftmax"
OTHERS = ["numpy", "numpy-blocked", "torch", "torch-blocked"]
# Rows that are made at a time.
ROWS = 50_000


@dataclass
class Side:
    """What was measured of one side."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def record(self) -> dict:
        return {
            "median": statistics.median(self.seconds),
            "least": min(self.seconds),
            "processor": statistics.median(self.processor),
            "memory": max(self.memory, default=None),
            "seconds": self.seconds,
        }


def make(file: Path, probes: int, gallery: int, columns: int) -> None:
    """Writes rows of length one in random directions: the probes, then the gallery."""
    rng = np.random.default_rng(1)
    with open(file, "wb") as out:
        for rows in (probes, gallery):
            for at in range(0, rows, ROWS):
                shape = (min(ROWS, rows - at), columns)
                values = rng.standard_normal(shape, np.float32)
                values /= np.linalg.norm(values, axis=1, keepdims=True)
                values.astype("<f4", copy=False).tofile(out)


def search(command: list[str], environment: dict) -> dict:
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def agree(ours: dict, other: dict, name: str) -> None:
    """Whether two sides found the same. Rounding may exchange neighbours that are equally near."""
    pairs = zip(ours["indices"], other["indices"], strict=True)
    same = sum(a == b for a, b in pairs) / len(ours["indices"])
    if same < 0.999 or abs(ours["sum"] - other["sum"]) > 1e-5 * abs(ours["sum"]):
        sys.exit(f"{name} found something else: {same:.2%} of the neighbours are the same")


def machine(threads: int) -> dict:
    model = "unknown"
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo") as file:
        model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    versions = {name: metadata.version(name) for name in ["torch", "numpy"]}
    return {"processor": model, "threads": threads, "versions": versions}


def table(records: dict[str, dict]) -> None:
    ours = records[OURS]
    print("\n| side | median s | least s | time over ours | CPU s | MiB above the embeddings |")
    print("|---|---|---|---|---|---|")
    for name, record in records.items():
        memory = "-" if record["memory"] is None else f"{record['memory'] / 2**20:.0f}"
        row = [name, f"{record['median']:.2f}", f"{record['least']:.2f}"]
        row += [f"{record['median'] / ours['median']:.2f}", f"{record['processor']:.2f}", memory]
        print("| " + " | ".join(row) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the program of our side (`run` gives it)")
    parser.add_argument("--probes", type=int, default=1_000)
    parser.add_argument("--gallery", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, help="write all figures there, as JSON")
    arguments = parser.parse_args()
    threads = str(arguments.threads)
    limits = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]
    environment = os.environ | dict.fromkeys(limits, threads)
    sides = {name: Side() for name in [OURS, *OTHERS]}
    found = {"machine": machine(arguments.threads)}
    print(json.dumps(found["machine"]))
    sizes = [arguments.probes, arguments.gallery, arguments.columns, arguments.k]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "embeddings.f32"
        make(file, *sizes[:3])
        for at in range(arguments.rounds):
            ours = None
            for name, side in sides.items():
                program = [arguments.ours] if name == OURS else [sys.executable, HERE / "other_side.py", name]
                answer = search([*program, file, *map(str, sizes)], environment)
                ours = ours or answer
                agree(ours, answer, name)
                side.seconds.append(answer["seconds"])
                side.processor.append(answer["processor"])
                if answer["memory"] is not None:
                    side.memory.append(answer["memory"])
                print(f"round {at + 1}, {name}: {answer['seconds']:.2f} s", file=sys.stderr)
    found["sides"] = {name: side.record() for name, side in sides.items()}
    table(found["sides"])
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
