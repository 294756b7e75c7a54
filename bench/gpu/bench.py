"""lsoftmax against PyTorch on an NVIDIA card: training steps and the loss by itself.

    bench/gpu/run [--only train|head] [--quick] [--device vulkan] [--out FILE.json]

Uses the workers of bench/against_pytorch: all of them do the same steps on the same numbers, in
turn. A time is the mean of a round, since work is queued; the figure is the median of the rounds.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "against_pytorch"))
from bench import NETWORKS, OURS, Worker, agree, machine, mebibytes, table
from bench import TRAINING as TRAINING_MODES

BATCH = 256
FEATURE = 512
CLASSES = [10, 1_000, 10_000, 100_000, 1_000_000]
ROUND_SECONDS = 1.0
# Full f32, and the narrower numbers of the matrix units.
NUMBERS = ["", "-tf32", "-bf16"]
TRAINING = [mode + numbers for numbers in NUMBERS for mode in TRAINING_MODES]
# Ours in the same numbers as PyTorch's bf16.
OURS_BF16 = f"{OURS}-bf16"
HEAD = [mode + numbers for numbers in NUMBERS for mode in ["eager", "compile"]]


@dataclass
class Card:
    """What the card was measured to do, by PyTorch."""

    name: str
    # Bytes a second, read and written.
    bandwidth: float
    # Multiply-adds of matrix products count twice.
    flops: dict[str, float]


def measured(run, count: int) -> float:
    """Seconds of one of many runs, by the card's clock."""
    import torch

    for _ in range(3):
        run()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    events[0].record()
    for _ in range(count):
        run()
    events[1].record()
    torch.cuda.synchronize()
    return events[0].elapsed_time(events[1]) / 1e3 / count


def measure_card() -> Card:
    import torch

    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    bandwidth = 2 * source.numel() / measured(lambda: target.copy_(source), 20)
    del source, target
    size, flops = 8192, {}
    for name, dtype, tf32 in [
        ("f32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, True),
    ]:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))
        out = torch.empty_like(a)
        seconds = measured(lambda: torch.mm(a, b, out=out), 10)
        flops[name] = 2 * size**3 / seconds
    card = Card(torch.cuda.get_device_name(), bandwidth, flops)
    # The workers are other processes.
    torch.cuda.empty_cache()
    return card


class Bench:
    def __init__(self, arguments: argparse.Namespace):
        self.ours = arguments.ours
        self.device = arguments.device
        self.rounds = 1 if arguments.quick else arguments.rounds
        self.quick = arguments.quick
        self.sides = arguments.sides
        self.networks = arguments.networks or (NETWORKS[:1] if arguments.quick else NETWORKS)
        self.classes = arguments.classes or (CLASSES[:2] if arguments.quick else CLASSES)
        threads = str(len(os.sched_getaffinity(0)))
        self.environment = os.environ | {
            "OMP_NUM_THREADS": threads,
            "RAYON_NUM_THREADS": threads,
            "TORCH_DEVICE": "cuda",
        }

    def chosen(self, sides: list[str]) -> list[str]:
        return [side for side in sides if self.sides is None or side in self.sides]

    def start(self, name: str, arguments: list[str]) -> Worker:
        if name.startswith(OURS):
            command = [self.ours, "--device", self.device, *arguments]
        else:
            side = Path(__file__).parent.parent / "against_pytorch" / "torch_side.py"
            command = [sys.executable, str(side), name, *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, env=self.environment, text=True
        )
        return Worker(name, process)

    def case(self, sides: dict[str, list[str]], check: int, tolerance: float) -> dict[str, Worker]:
        """Lets workers with these arguments work in turn; those that fail, or whose first `check`
        values are not those of the first, are left out.
        """
        with contextlib.ExitStack() as stack:
            started: dict[str, Worker] = {}
            for name, arguments in sides.items():
                worker = started[name] = self.start(name, arguments)
                stack.callback(worker.stop)
                # All of them compile and tune side by side.
                worker.send(check)
            workers: dict[str, Worker] = {}
            reference = None
            for name, worker in started.items():
                try:
                    worker.receive(timed=False)
                    # Compilers, tuners and allocators are at work in the first steps.
                    worker.steps(3, timed=False)
                    worker.steps(3)
                    reference = reference or worker.values
                    # TF32 has 10 bits, bf16 7.
                    loose = {"tf32": 5e-3, "bf16": 3e-2}.get(name.rsplit("-", 1)[-1], tolerance)
                    agree(reference, worker.values, check, loose, name)
                except (RuntimeError, OSError, SystemExit) as error:
                    # The card may be here for this run alone: the others go on.
                    print(f"  {name}: {error}: left out", file=sys.stderr)
                    continue
                worker.count = max(3, min(10_000, round(3 * ROUND_SECONDS / sum(worker.seconds))))
                worker.seconds.clear()
                workers[name] = worker
            for _ in range(self.rounds):
                for worker in workers.values():
                    before = len(worker.seconds)
                    worker.steps(worker.count)
                    mean = statistics.fmean(worker.seconds[before:])
                    worker.seconds[before:] = [mean]
            for worker in workers.values():
                worker.steps(worker.count, timed=False, profile=True)
            return workers


def record(workers: dict[str, Worker]) -> dict:
    return {
        name: {
            "seconds": worker.median(),
            "device_seconds": worker.device_seconds,
            "memory": worker.memory,
        }
        for name, worker in workers.items()
    }


def multiply_adds(info: dict) -> int:
    """Of the forward pass of one image."""
    channels, height, width = info["image"]
    total = 0
    for stage in info["network"]["stages"]:
        for conv in range(stage["convs"]):
            stride = stage.get("stride", 1) if conv == 0 else 1
            height, width = -(-height // stride), -(-width // stride)
            total += height * width * stage["channels"] * channels * stage.get("kernel", 3) ** 2
            channels = stage["channels"]
        if stage.get("pool", False):
            height, width = -(-height // 2), -(-width // 2)
    feature = info["network"]["feature"]
    return total + channels * height * width * feature + feature * len(info["class_names"])


def model_info(path: Path) -> dict:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return json.loads(header["__metadata__"]["lsoftmax"])


def matrix_rate(name: str, card: Card) -> float:
    """The card's rate for the numbers a side computes with."""
    return card.flops.get(name.rsplit("-", 1)[-1], card.flops["f32"])


def rows_of(workers: dict[str, Worker], place: list[str], work) -> list[list[str]]:
    """A row for each side; `work` gives rate and share of a worker's time."""
    torch = (w.median() for n, w in workers.items() if not n.startswith(OURS))
    best = min(torch, default=None)
    rows = []
    for name, worker in workers.items():
        seconds = worker.median()
        device = worker.device_seconds
        rows.append([
            *place,
            name,
            f"{1e3 * seconds:.3f}",
            "-" if device is None else f"{1e3 * device:.3f}",
            *work(name, seconds),
            mebibytes(worker.memory),
            "-" if best is None else f"{best / seconds:.2f}",
        ])
    return rows


def train(bench: Bench, card: Card) -> list[dict]:
    results, rows = [], []
    for network in bench.networks:
        print(f"train {network}, batch {BATCH} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([bench.ours, "prepare", network, str(BATCH), folder], check=True)
            work = 3 * 2 * BATCH * multiply_adds(model_info(Path(folder) / "model.safetensors"))
            sides = {name: ["train", folder] for name in [*bench.chosen(TRAINING), OURS]}
            sides[OURS_BF16] = ["train", folder, "--precision", "bf16"]
            workers = bench.case(sides, 3, 2e-3)

        def shares(name: str, seconds: float, work: int = work) -> list[str]:
            share = work / seconds / matrix_rate(name, card)
            return [f"{BATCH / seconds:.0f}", f"{100 * share:.0f} %"]

        rows += rows_of(workers, [network], shares)
        results.append({"network": network, "flops": work, "workers": record(workers)})
    columns = ["network", "side", "ms a step", "ms by the card's clock", "images/s",
               "of the matrix rate", "MiB", "against PyTorch's best"]
    table(f"Training steps, batch {BATCH}", columns, rows)
    return results


def head(bench: Bench, card: Card) -> list[dict]:
    results, rows = [], []
    for classes in bench.classes:
        for m, loss in [(1, "softmax"), (4, "L-Softmax m = 4, λ = 5")]:
            print(f"{loss}, {classes} classes ...", file=sys.stderr)
            arguments = ["head", *map(str, [BATCH, FEATURE, classes, m, 5.0])]
            workers = bench.case({side: arguments for side in [*bench.chosen(HEAD), OURS]}, 2, 1e-3)
            # Three products; weights are read twice, their gradient written once.
            flops = 3 * 2 * BATCH * FEATURE * classes
            moved = 3 * 4 * FEATURE * classes

            def shares(name: str, seconds: float, flops=flops, moved=moved) -> list[str]:
                rate = flops / seconds / matrix_rate(name, card)
                return [f"{100 * rate:.0f} %", f"{100 * moved / seconds / card.bandwidth:.0f} %"]

            rows += rows_of(workers, [loss, f"{classes:,}"], shares)
            results.append({"loss": loss, "classes": classes, "workers": record(workers)})
    columns = ["loss", "classes", "side", "ms", "ms by the card's clock", "of the matrix rate",
               "of the bandwidth", "MiB", "against PyTorch's best"]
    table(f"The loss and both gradients, batch {BATCH}, feature {FEATURE}", columns, rows)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the program of our side (`run` gives it)")
    parser.add_argument("--device", default="vulkan", help="where ours computes")
    parser.add_argument("--only", choices=["train", "head"])
    parser.add_argument("--sides", nargs="+", help="PyTorch's sides, such as eager-tf32; or all")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS)
    parser.add_argument("--classes", nargs="+", type=int)
    parser.add_argument("--quick", action="store_true", help="one round of the small cases")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write all figures there, as JSON")
    arguments = parser.parse_args()
    card = measure_card()
    found = {"machine": machine(len(os.sched_getaffinity(0))), "card": vars(card)}
    print(json.dumps(found))
    bench = Bench(arguments)
    for name, case in [("head", head), ("train", train)]:
        if arguments.only in (None, name):
            found[name] = case(bench, card)
            if arguments.out:
                arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
