"""Writes sgd.json: five steps of PyTorch's SGD on the small problem of src/sgd.rs. Run with torch: python sgd.py"""

import json
import pathlib

import torch


def steps(momentum, decay, nesterov, clip_norm):
    weight = torch.tensor([[0.5, -1.0, 2.0], [0.1, 0.0, -3.0]], requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.01, momentum=momentum, weight_decay=decay, nesterov=nesterov)
    for step in range(5):
        x = torch.tensor([[1.0, 2.0], [-0.5, 0.25 * step]])
        loss = (x @ weight).square().sum()
        optimizer.zero_grad()
        loss.backward()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_([weight], clip_norm)
        optimizer.step()
    return weight.detach().flatten().tolist()


cases = [
    {"momentum": momentum, "decay": decay, "nesterov": nesterov, "clip_norm": clip,
     "weights": steps(momentum, decay, nesterov, clip)}
    for momentum, decay, nesterov in [(0.0, 0.0, False), (0.9, 0.05, False), (0.9, 0.0, True), (0.5, 0.05, True)]
    for clip in [None, 2.0, 1000.0]
]
pathlib.Path(__file__).with_name("sgd.json").write_text(json.dumps(cases) + "\n")
