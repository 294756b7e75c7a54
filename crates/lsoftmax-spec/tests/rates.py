"""Writes rates.json: the learning rates of PyTorch's schedulers. Run with torch: python rates.py"""

import json
import pathlib

import torch
from torch.optim import lr_scheduler as schedulers


def rates(rate, steps, make):
    optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64, requires_grad=True)], lr=rate)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def warmed(after, warmup):
    def make(optimizer):
        rise = schedulers.LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
        return schedulers.SequentialLR(optimizer, [rise, after(optimizer)], milestones=[warmup])

    return make


cases = []


def case(shape, rate, steps, make, warmup=0, milestones=()):
    cases.append({"shape": shape, "rate": rate, "warmup": warmup, "milestones": list(milestones),
                  "rates": rates(rate, steps, make)})


case("constant", 0.3, 5, lambda o: schedulers.ConstantLR(o, 1.0))
case("multi-step", 0.1, 30, lambda o: schedulers.MultiStepLR(o, [20, 25]), milestones=[20, 25])
# The milestones count from the start of the training here, from the end of the warm-up in SequentialLR.
case("multi-step", 0.1, 30, warmed(lambda o: schedulers.MultiStepLR(o, [15, 20]), 5), 5, [20, 25])
case("cosine", 0.1, 40, lambda o: schedulers.CosineAnnealingLR(o, 40))
case("cosine", 0.2, 40, warmed(lambda o: schedulers.CosineAnnealingLR(o, 30), 10), 10)
for steps in (20, 37, 100):
    case("one-cycle", 0.5, steps, lambda o: schedulers.OneCycleLR(o, 0.5, total_steps=steps, cycle_momentum=False))
    case("triangle", 0.5, steps, lambda o: schedulers.OneCycleLR(
        o, 0.5, total_steps=steps, cycle_momentum=False, anneal_strategy="linear"))

# The last step() of OneCycleLR would be one too many.
pathlib.Path(__file__).with_name("rates.json").write_text(json.dumps(cases) + "\n")
