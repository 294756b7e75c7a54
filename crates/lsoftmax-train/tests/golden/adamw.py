"""Writes adamw.json: five steps of PyTorch's AdamW on the small problem of src/optimiser.rs. Run with torch:
python adamw.py"""

import json
import pathlib

import torch


def steps(beta1, beta2, epsilon, decay, clip_norm):
    weight = torch.tensor([[0.5, -1.0, 2.0], [0.1, 0.0, -3.0]], requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=0.01, betas=(beta1, beta2), eps=epsilon, weight_decay=decay)
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
    {"beta1": beta1, "beta2": beta2, "epsilon": epsilon, "decay": decay, "clip_norm": clip,
     "weights": steps(beta1, beta2, epsilon, decay, clip)}
    for beta1, beta2, epsilon in [(0.9, 0.999, 1e-8), (0.8, 0.95, 1e-3), (0.0, 0.99, 1e-8)]
    for decay in [0.0, 0.01, 1.0]
    for clip in [None, 2.0]
]
pathlib.Path(__file__).with_name("adamw.json").write_text(json.dumps(cases) + "\n")
