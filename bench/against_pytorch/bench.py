"""lsoftmax against PyTorch: training steps, the loss by itself, inference.

    bench/against_pytorch/run [--only train|head|inference] [--level avx2|avx512|portable]
                              [--classes N...] [--quick] [--out FILE.json]

All workers of a case do the same steps on the same numbers, in turn (A B C A B C ...), and wait for
input meanwhile. Times are medians over all rounds; ratios are within one run.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
NETWORKS = ["mnist-2d", "mnist", "cifar10", "cifar100"]
TRAINING = ["eager", "channels-last", "compile", "compile-channels-last"]
OURS = "lsoftmax"
# What holds our kernels, PyTorch's own, oneDNN's and MKL's down to an instruction set. `portable` is
# SSE2 on our side; the lowest that oneDNN and MKL know is SSE4.1 and SSE4.2. ONNX Runtime has no
# such switch and is left out.
LEVELS = {
    "portable": ("default", "SSE41", "SSE4_2"),
    "avx2": ("avx2", "AVX2", "AVX2"),
    "avx512": ("avx512", "AVX512_CORE", "AVX512"),
}
# How long each worker works in a round, about.
ROUND_SECONDS = 2.0


@dataclass
class Worker:
    """A process of one side, what it measured, and the steps it does in a round."""

    name: str
    process: subprocess.Popen
    values: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: int | None = None
    count: int = 1
    sent: int = 0
    # Of a step, by the device's own clock: graphics processors only.
    device_seconds: float | None = None

    def steps(self, count: int, timed: bool = True, profile: bool = False) -> None:
        self.send(count, profile)
        self.receive(timed, profile)

    def send(self, count: int, profile: bool = False) -> None:
        self.sent = count
        command = {"steps": count, "profile": profile}
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def receive(self, timed: bool = True, profile: bool = False) -> None:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")
        answer = json.loads(line)
        self.values += answer["values"]
        self.memory = answer["memory"]
        if profile and answer.get("device_seconds"):
            self.device_seconds = answer["device_seconds"] / self.sent
        if timed:
            self.seconds += answer["seconds"]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def median(self) -> float:
        return statistics.median(self.seconds)


class Bench:
    def __init__(self, arguments: argparse.Namespace):
        self.ours = arguments.ours
        self.threads = arguments.threads
        self.rounds = 1 if arguments.quick else arguments.rounds
        self.quick = arguments.quick
        first = NETWORKS[:1] if arguments.quick else NETWORKS
        self.networks = [arguments.network] if arguments.network else first
        few = [10, 1_000] if arguments.quick else [10, 100, 1_000, 10_000, 100_000, 1_000_000]
        self.classes = arguments.classes or few
        threads = str(self.threads)
        self.environment = os.environ | {"OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads}
        self.held = arguments.level is not None
        if self.held:
            aten, onednn, mkl = LEVELS[arguments.level]
            self.environment |= {
                "LSOFTMAX_KERNELS_LEVEL": arguments.level,
                "ATEN_CPU_CAPABILITY": aten,
                "ONEDNN_MAX_CPU_ISA": onednn,
                "MKL_ENABLE_INSTRUCTIONS": mkl,
            }
        code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
        self.machine = machine(self.threads) | {
            "level": self.answer(self.ours, "level"),
            "torch_level": self.answer(sys.executable, "-c", code),
        }
        if self.held and self.machine["level"] != arguments.level:
            sys.exit(f"this machine has {self.machine['level']}, and not {arguments.level}")

    def title(self, what: str) -> str:
        machine = self.machine
        levels = f"{machine['level']} (PyTorch: {machine['torch_level']})"
        return f"{what}; {machine['processor']}, {machine['threads']} threads, {levels}"

    def answer(self, *command: str) -> str:
        run = subprocess.run(
            command, check=True, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        return run.stdout.strip()

    def start(self, name: str, arguments: list[str]) -> Worker:
        if name == OURS:
            command = [self.ours, *arguments]
        else:
            command = [sys.executable, HERE / "torch_side.py", name, *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, env=self.environment, text=True
        )
        return Worker(name, process)

    def case(self, sides: dict[str, list[str]], check: int, tolerance: float) -> dict[str, Worker]:
        """Lets workers with these arguments work in turn; those that fail are left out.

        The first `check` values of all must agree with ours.
        """
        with contextlib.ExitStack() as stack:
            workers = {}
            for name, arguments in sides.items():
                worker = self.start(name, arguments)
                stack.callback(worker.stop)
                try:
                    worker.steps(check, timed=False)
                    # The first steps are slow: compilers and allocators are still at work.
                    worker.steps(1)
                except RuntimeError as error:
                    print(f"  {error}: left out", file=sys.stderr)
                    if name == OURS:
                        raise
                    continue
                workers[name] = worker
                agree(workers[OURS].values, worker.values, check, tolerance, name)
            for worker in workers.values():
                worker.count = max(1, min(10_000, round(ROUND_SECONDS / worker.seconds[-1])))
                worker.seconds.clear()
            for _ in range(self.rounds):
                for worker in workers.values():
                    worker.steps(worker.count)
            return workers


def agree(ours: list[float], other: list[float], count: int, tolerance: float, name: str) -> None:
    """Whether two sides did the same work."""
    pairs = zip(ours[:count], other[:count], strict=True)
    if any(abs(a - b) > tolerance * max(abs(a), abs(b)) for a, b in pairs):
        sys.exit(f"not the same work:\n  {OURS}: {ours[:count]}\n  {name}: {other[:count]}")


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def fastest(workers: dict[str, Worker]) -> float:
    return min(w.median() for name, w in workers.items() if name != OURS)


def record(workers: dict[str, Worker]) -> dict:
    return {
        name: {"seconds": worker.median(), "steps": len(worker.seconds), "memory": worker.memory}
        for name, worker in workers.items()
    }


def mebibytes(count: float | None) -> str:
    return "-" if count is None else f"{count / 2**20:.0f}"


def cases_of_networks(bench: Bench, case: str, modes: list[str], batches: list[int]):
    """Runs a case for each network and batch size, on files that our side prepares."""
    for batch in batches:
        for network in bench.networks:
            print(f"{case} {network}, batch {batch} ...", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([bench.ours, "prepare", network, str(batch), folder], check=True)
                # All ten batches, or fewer where a step takes seconds.
                check = 10 if batch <= 64 else 3
                sides = {name: [case, folder] for name in [OURS, *modes]}
                yield network, batch, bench.case(sides, check, 1e-3)


def train(bench: Bench) -> list[dict]:
    results, rows = [], []
    for network, batch, workers in cases_of_networks(bench, "train", TRAINING, [64, 256]):
        rates = {name: batch / worker.median() for name, worker in workers.items()}
        memory = [w.memory for name, w in workers.items() if name != OURS and w.memory]
        row = [network, str(batch)]
        row += [f"{rates[name]:.0f}" if name in rates else "-" for name in [OURS, *TRAINING]]
        row += [f"{fastest(workers) / workers[OURS].median():.2f}"]
        row += [mebibytes(workers[OURS].memory), mebibytes(min(memory, default=None))]
        rows.append(row)
        results.append({"network": network, "batch": batch, "workers": record(workers)})
    columns = ["network", "batch", OURS, *TRAINING, "ratio", "MiB ours", "MiB least PyTorch"]
    table(bench.title("Training steps, images a second"), columns, rows)
    return results


def inference(bench: Bench) -> list[dict]:
    results, rows = [], []
    modes = [*TRAINING] if bench.held else [*TRAINING, "onnxruntime"]
    for network, batch, workers in cases_of_networks(bench, "inference", modes, [1, 256]):
        millis = {name: 1e3 * worker.median() for name, worker in workers.items()}
        row = [network, str(batch)]
        row += [f"{millis[name]:.3f}" if name in millis else "-" for name in [OURS, *modes]]
        rows.append([*row, f"{fastest(workers) / workers[OURS].median():.2f}"])
        results.append({"network": network, "batch": batch, "workers": record(workers)})
    table(bench.title("Inference, milliseconds"), ["network", "batch", OURS, *modes, "ratio"], rows)
    return results


def head(bench: Bench) -> list[dict]:
    batch, feature = 256, 512
    results, rows = [], []
    for classes in bench.classes:
        for m, name in [(1, "softmax"), (4, "L-Softmax m = 4, λ = 5")]:
            print(f"{name}, {classes} classes ...", file=sys.stderr)
            arguments = ["head", *map(str, [batch, feature, classes, m, 5.0])]
            sides = {side: arguments for side in [OURS, "eager", "compile"]}
            workers = bench.case(sides, 2, 1e-4)
            # Features, weights and a gradient for each are what nobody can do without.
            needed = 2 * 4 * feature * (batch + classes)
            for worker in workers.values():
                if worker.memory is not None:
                    worker.memory = max(0, worker.memory - needed)
            row = [name, f"{classes:,}"]
            for side in sides:
                done = workers.get(side)
                row.append(f"{1e3 * done.median():.3f}" if done else "-")
            row.append(f"{fastest(workers) / workers[OURS].median():.2f}")
            row += [mebibytes(workers[s].memory) if s in workers else "-" for s in sides]
            rows.append(row)
            results.append({"loss": name, "classes": classes, "workers": record(workers)})
    columns = ["loss", "classes", OURS, "eager", "compile", "ratio"]
    columns += [f"MiB extra {side}" for side in [OURS, "eager", "compile"]]
    title = f"Loss and both gradients, batch {batch}, feature {feature}, ms"
    table(bench.title(title), columns, rows)
    return results


def machine(threads: int) -> dict:
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo") as file:
        model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    versions = {}
    for name in ["torch", "onnxruntime", "numpy"]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {"processor": model, "threads": threads, "versions": versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the program of our side (`run` gives it)")
    parser.add_argument("--only", choices=["train", "head", "inference"])
    parser.add_argument("--quick", action="store_true", help="one round of the small cases")
    parser.add_argument("--network", choices=NETWORKS, help="this network alone")
    parser.add_argument("--level", choices=LEVELS, help="hold all sides to this instruction set")
    parser.add_argument("--classes", type=int, nargs="+", help="of the loss by itself")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, help="write all figures there, as JSON")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    found = {"machine": bench.machine}
    print(json.dumps(found["machine"]))
    for name, case in [("head", head), ("inference", inference), ("train", train)]:
        if arguments.only in (None, name):
            found[name] = case(bench)
            if arguments.out:
                arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
