"""The networks in PyTorch, built from the row that stands in a model file of lsoftmax."""

import json

import torch
from safetensors import safe_open
from torch import nn


class Network(nn.Module):
    """Convolution, batch normalisation, PReLU; pools that round up; a feature layer.

    No bias before a normalisation, as in lsoftmax.
    """

    def __init__(self, row: dict, image: list[int], classes: int):
        super().__init__()
        layers = []
        channels, height, width = image
        for stage in row["stages"]:
            kernel = stage.get("kernel", 3)
            for conv in range(stage["convs"]):
                out = stage["channels"]
                stride = stage.get("stride", 1) if conv == 0 else 1
                layers += [
                    nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False),
                    nn.BatchNorm2d(out),
                    nn.PReLU(out),
                ]
                channels = out
                height, width = -(-height // stride), -(-width // stride)
            if stage.get("pool", False):
                layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
                height, width = -(-height // 2), -(-width // 2)
        layers.append(nn.Flatten())
        layers.append(nn.Linear(channels * height * width, row["feature"], bias=False))
        layers.append(nn.BatchNorm1d(row["feature"]))
        self.backbone = nn.Sequential(*layers)
        self.head = nn.Linear(row["feature"], classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x))

    def groups(self, weight_decay: float) -> list[dict]:
        """Parameters for an optimiser: weights decay, the rest does not."""
        decays = {m.weight for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        return [
            {"params": [p for p in self.parameters() if p in decays], "weight_decay": weight_decay},
            {"params": [p for p in self.parameters() if p not in decays], "weight_decay": 0.0},
        ]


def load(path: str) -> Network:
    """The network of a model file with its weights."""
    with safe_open(path, "pt") as file:
        info = json.loads(file.metadata()["lsoftmax"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network = Network(info["network"], info["image"], len(info["class_names"]))
    layers = iter(network.backbone)
    with torch.no_grad():
        for block in range(sum(stage["convs"] for stage in info["network"]["stages"])):
            name = f"backbone.blocks.{block}"
            conv = next(layer for layer in layers if isinstance(layer, nn.Conv2d))
            conv.weight.copy_(tensors[f"{name}.weight"])
            normalise(next(layers), tensors, name)
            next(layers).weight.copy_(tensors[f"{name}.slope"])
        linear = next(layer for layer in layers if isinstance(layer, nn.Linear))
        linear.weight.copy_(tensors["backbone.feature.weight"].T)
        normalise(next(layers), tensors, "backbone.feature")
        network.head.weight.copy_(tensors["head.weight"])
    return network


def normalise(layer: nn.Module, tensors: dict[str, torch.Tensor], name: str) -> None:
    layer.weight.copy_(tensors[f"{name}.gamma"])
    layer.bias.copy_(tensors[f"{name}.beta"])
    layer.running_mean.copy_(tensors[f"{name}.mean"])
    layer.running_var.copy_(tensors[f"{name}.var"])
