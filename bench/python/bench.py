"""The Python package against pytorch-metric-learning, PyTorch, scikit-learn and faiss.

    bench/python/run [--only heads|metrics] [--quick] [--rounds N] [--threads N] [--out FILE.json]

Every side is a process that stays alive; the sides of a case work in turn (A B C A B C ...).
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
OURS = "lsoftmax"
# What a figure of a side may differ from ours, as a share.
TOLERANCE = 1e-3
HEADS = {
    "softmax": [OURS, "torch"],
    "arc-face": [OURS, "pml", "torch"],
    "l-softmax": [OURS, "pml"],
}
METRICS = {
    "retrieval": [OURS, "pml", "pml-faiss"],
    "nearest": [OURS, "sklearn", "faiss"],
    "verification": [OURS, "sklearn"],
}
LIMITS = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]


class Side:
    """A process and what was measured of it."""

    def __init__(self, kind: str, name: str, case: dict) -> None:
        environment = os.environ | dict.fromkeys(LIMITS, str(case["threads"]))
        command = [sys.executable, HERE / "side.py", kind, name, json.dumps(case)]
        self.name = name
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.seconds: list[float] = []
        self.processor: list[float] = []
        self.first: dict[str, float] = {}
        self.memory = 0
        self.line()

    def line(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with {self.process.wait()}: its message is above")
        return line

    def work(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found = json.loads(self.line())
        self.seconds.append(found["seconds"])
        self.processor.append(found["processor"])
        self.first = self.first or found["agree"]
        self.memory = max(self.memory, found["memory"])

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()

    def record(self) -> dict:
        return {
            "median": statistics.median(self.seconds),
            "processor": statistics.median(self.processor),
            "seconds": self.seconds,
            "memory": self.memory,
            "found": self.first,
        }


def agree(ours: Side, other: Side) -> None:
    for name, expected in ours.first.items():
        found = other.first[name]
        if not abs(found - expected) <= TOLERANCE * abs(expected):
            sys.exit(f"{name} of {other.name} is {found}, ours is {expected}")


def measure(kind: str, names: list[str], case: dict, rounds: int) -> dict[str, dict]:
    with contextlib.ExitStack() as stack:
        sides = []
        for name in names:
            sides.append(Side(kind, name, case))
            stack.callback(sides[-1].close)
        for _ in range(rounds):
            for side in sides:
                side.work()
        for other in sides[1:]:
            agree(sides[0], other)
        return {side.name: side.record() for side in sides}


def row(first: list[str], records: dict[str, dict]) -> None:
    ours = records[OURS]
    for name, record in records.items():
        milliseconds = f"{record['median'] * 1e3:,.2f}"
        figures = [milliseconds, f"{record['median'] / ours['median']:.2f}"]
        figures += [f"{record['processor'] * 1e3:,.2f}"]
        figures += [f"{record['processor'] / ours['processor']:.2f}", f"{record['memory'] / 2**20:.1f}"]
        print("| " + " | ".join([*first, name, *figures]) + " |")
    sys.stdout.flush()


def title(columns: list[str]) -> None:
    print("\n| " + " | ".join([*columns, "side", "median ms", "over ours", "CPU ms", "over ours", "MiB"]) + " |")
    print("|" + "---|" * (len(columns) + 6))


def heads(arguments: argparse.Namespace) -> list[dict]:
    title(["loss", "classes"])
    found = []
    for classes in arguments.classes:
        for loss, names in HEADS.items():
            case = {"loss": loss, "classes": classes, "batch": 128, "columns": 512}
            case |= {"threads": arguments.threads, "seconds": 0.5 if arguments.quick else 2.0}
            records = measure("head", names, case, arguments.rounds)
            row([loss, f"{classes:,}"], records)
            found.append(case | {"sides": records})
    return found


def metrics(arguments: argparse.Namespace) -> list[dict]:
    title(["metric", "embeddings"])
    found = []
    for rows in arguments.rows:
        for metric, names in METRICS.items():
            case = {"metric": metric, "rows": rows, "columns": 128, "threads": arguments.threads}
            records = measure("metric", names, case, arguments.rounds)
            row([metric, f"{rows:,}"], records)
            found.append(case | {"sides": records})
    return found


def machine(threads: int) -> dict:
    model = "unknown"
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo") as file:
        model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    names = ["lsoftmax", "torch", "pytorch-metric-learning", "scikit-learn", "faiss-cpu", "numpy"]
    versions = {name: metadata.version(name) for name in names}
    load = os.getloadavg()[0]
    return {"processor": model, "threads": threads, "load": round(load, 1), "versions": versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["heads", "metrics"])
    parser.add_argument("--quick", action="store_true", help="shorter rounds, and no 100,000 embeddings")
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1_000, 100_000])
    parser.add_argument("--rows", type=int, nargs="+", help="numbers of embeddings")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, help="write all figures there, as JSON")
    arguments = parser.parse_args()
    if arguments.rows is None:
        arguments.rows = [10_000] if arguments.quick else [10_000, 100_000]
    found = {"machine": machine(arguments.threads)}
    print(json.dumps(found["machine"]))
    if arguments.only != "metrics":
        found["heads"] = heads(arguments)
    if arguments.only != "heads":
        found["metrics"] = metrics(arguments)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
