"""PyTorch's side of the benchmark: a worker that does what it is told, a JSON line at a time.

    python torch_side.py MODE train|inference DIR
    python torch_side.py MODE head BATCH FEATURE CLASSES M LAMBDA

MODE is eager, channels-last, compile, compile-channels-last or, for inference, onnxruntime; with
TORCH_DEVICE=cuda also with -tf32 or -bf16 behind it.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from networks import load
from torch.nn import functional as F

LEARNING_RATE = 0.0001  # see train.rs
DEVICE = torch.device(os.environ.get("TORCH_DEVICE", "cpu"))
ON_GPU = DEVICE.type == "cuda"


def status(key: str) -> int | None:
    """A line of the process's memory in bytes, where the system tells."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))
    except (OSError, StopIteration):
        return None


def serve(baseline: int | None, step: Callable[[], torch.Tensor]) -> None:
    for line in sys.stdin:
        command = json.loads(line)
        seconds, values = [], []
        profile = ON_GPU and command.get("profile")
        if profile:
            events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            events[0].record()
        for _ in range(command["steps"]):
            start = time.perf_counter()
            values.append(step())
            seconds.append(time.perf_counter() - start)
        if profile:
            events[1].record()
        if ON_GPU:
            # What is still queued belongs to the last step.
            start = time.perf_counter()
            torch.cuda.synchronize()
            seconds[-1] += time.perf_counter() - start
        # Read when all are done, so that no step waits for the card.
        values = [value.item() for value in values]
        answer = {"seconds": seconds, "values": values, "memory": memory_above(baseline)}
        if profile:
            answer["device_seconds"] = events[0].elapsed_time(events[1]) / 1e3
        print(json.dumps(answer), flush=True)


def memory_above(baseline: int | None) -> int | None:
    if ON_GPU:
        return torch.cuda.max_memory_reserved()
    peak = status("VmHWM:")
    return None if peak is None or baseline is None else peak - baseline


def autocast(mode: str) -> torch.autocast:
    """bf16 where the mode says so: weights, loss and optimiser stay f32."""
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=mode.endswith("-bf16"))


def batches(folder: str, mode: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images `[batch, channel, height, width]` and labels."""
    pixels = torch.from_numpy(np.load(f"{folder}/pixels.npy")).permute(0, 1, 4, 2, 3)
    labels = torch.from_numpy(np.load(f"{folder}/labels.npy")).long()
    layout = torch.channels_last if "channels-last" in mode else torch.contiguous_format
    pairs = zip(pixels.to(DEVICE), labels.to(DEVICE), strict=True)
    return [(x.contiguous(memory_format=layout), y) for x, y in pairs]


def prepared(module: torch.nn.Module, mode: str) -> torch.nn.Module:
    if "channels-last" in mode:
        module = module.to(memory_format=torch.channels_last)
    return torch.compile(module) if mode.startswith("compile") else module


def train(mode: str, folder: str) -> Callable[[], torch.Tensor]:
    network = load(f"{folder}/model.safetensors").to(DEVICE)
    optimiser = torch.optim.SGD(network.groups(5e-4), LEARNING_RATE, momentum=0.9, fused=True)
    network = prepared(network, mode)
    data = batches(folder, mode)
    count = 0

    def step() -> torch.Tensor:
        nonlocal count
        x, y = data[count % len(data)]
        count += 1
        optimiser.zero_grad(set_to_none=True)
        with autocast(mode):
            logits = network(x)
        loss = F.cross_entropy(logits.float(), y)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def inference(mode: str, folder: str) -> Callable[[], torch.Tensor]:
    backbone = load(f"{folder}/model.safetensors").eval().backbone
    data = [x for x, _ in batches(folder, mode)]
    if mode == "onnxruntime":
        run = onnx_session(backbone, data[0], folder)
    else:
        backbone = prepared(backbone, mode)

        def run(x: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return backbone(x).abs().sum()

    count = 0

    def step() -> torch.Tensor:
        nonlocal count
        x = data[count % len(data)]
        count += 1
        return run(x)

    return step


def onnx_session(
    backbone: torch.nn.Module, x: torch.Tensor, folder: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """ONNX Runtime with all of its graph optimisations, which fold the normalisations."""
    import onnxruntime

    path = f"{folder}/model.onnx"
    torch.onnx.export(backbone, (x,), path, input_names=["x"], dynamo=False, opset_version=17)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0]).abs().sum()


def noise(count: int, offset: int, scale: float) -> torch.Tensor:
    """Numbers without pattern that `head.rs` makes alike."""
    index = np.arange(count, dtype=np.uint32) + np.uint32(offset)
    index = index * np.uint32(2_654_435_761)
    return torch.from_numpy(np.float32(scale) * ((index >> 8).astype(np.float32) / 2**23 - 1))


def l_softmax(x: torch.Tensor, w: torch.Tensor, y: torch.Tensor, m: int, lam: float):
    """L-Softmax as it is usually written: all logits, then the target's column replaced."""
    logits = F.linear(x, w)
    norms = x.norm(dim=1) * w[y].norm(dim=1)
    plain = logits.gather(1, y[:, None])[:, 0]
    cosine = (plain / norms).clamp(-1, 1)
    k = (m * torch.acos(cosine) / math.pi).floor()
    multiple = sum(  # cos(m theta) by the binomial theorem, Eq. 7 of the paper
        (-1) ** n * math.comb(m, 2 * n) * cosine ** (m - 2 * n) * (1 - cosine**2) ** n
        for n in range(m // 2 + 1)
    )
    psi = (1 - 2 * (k % 2)) * multiple - 2 * k
    target = (lam * plain + norms * psi) / (1 + lam)
    return F.cross_entropy(logits.scatter(1, y[:, None], target[:, None]), y)


def head(mode: str, sizes: list[str]) -> Callable[[], torch.Tensor]:
    batch, feature, classes, m = map(int, sizes[:4])
    lam = float(sizes[4])
    x = noise(batch * feature, 0, 1.0).view(batch, feature).to(DEVICE).requires_grad_()
    w = noise(classes * feature, 12_345, 0.05).view(classes, feature).to(DEVICE).requires_grad_()
    y = (torch.arange(batch) * 7919 % classes).to(DEVICE)

    def loss_of(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        with autocast(mode):
            return F.cross_entropy(F.linear(x, w), y) if m == 1 else l_softmax(x, w, y, m, lam)

    if mode.startswith("compile"):
        loss_of = torch.compile(loss_of)

    def step() -> torch.Tensor:
        x.grad = w.grad = None
        loss = loss_of(x, w)
        loss.backward()
        return loss.detach()

    return step


def main() -> None:
    mode, case, *rest = sys.argv[1:]
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    # cuDNN takes TF32 unless it is told not to.
    torch.backends.cuda.matmul.allow_tf32 = mode.endswith("-tf32")
    torch.backends.cudnn.allow_tf32 = mode.endswith("-tf32")
    torch.backends.cudnn.benchmark = True
    baseline = status("VmRSS:")
    if case == "head":
        serve(baseline, head(mode, rest))
    else:
        serve(baseline, {"train": train, "inference": inference}[case](mode, rest[0]))


if __name__ == "__main__":
    main()
