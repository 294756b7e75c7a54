"""The settings of experiment files as keyword arguments."""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np


class Settings(TypedDict, total=False):
    """The settings of a training: the keys of the experiment file with ``_`` for ``-``.

    ``docs/reference/experiment.md`` documents them and their defaults.
    """

    data: str
    data_dir: str | os.PathLike[str]
    data_seed: int
    train_samples: int
    test_samples: int
    held_out: int
    open_set: str
    open_set_same_names: str
    augment: bool
    augmentation: Sequence[str]
    mirrored: bool
    image_size: str
    channels: str
    fit: str
    test_share: float
    class_folders: str
    exclude: str | os.PathLike[str]
    broken: str
    image_cache: str | os.PathLike[str]
    align: str
    landmarks: str | os.PathLike[str]
    network: str | dict[str, object]
    feature: int
    loss: str
    margin: float
    scale: float
    margins: Sequence[float]
    pair_weight: float
    pair_margin: float
    pair_selection: str
    label_smoothing: float
    images_per_class: int
    annealing: str
    lambda_: float
    lambda_min: float
    gamma: float
    power: float
    factor: float
    stages: Sequence[dict[str, int]]
    gate: dict[str, float]
    class_balance: float
    iterations: int
    batch: int
    learning_rate: float
    rate_schedule: str
    warmup: int
    milestones: Sequence[int]
    optimizer: str
    momentum: float
    nesterov: bool
    beta1: float
    beta2: float
    epsilon: float
    clip_norm: float
    weight_decay: float
    backbone_rate: float
    norm_rate: float
    norm_decay: float
    head_rate: float
    head_decay: float
    ema_decay: float
    ema_start: float
    seed: int
    evaluations: int
    precision: str
    checkpoint_every: int
    on_divergence: str
    recoveries: int
    published: dict[str, float]


def keys(settings: dict[str, object], known: Iterable[str], what: str) -> dict[str, object]:
    """Renames settings to the keys of an experiment file.

    :raises ValueError: if a name is unknown, or a number is not finite.
    """
    known = list(known)
    found = {}
    for name, value in settings.items():
        key = name.rstrip("_").replace("_", "-")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0].replace('-', '_')!r}?" if near else ""
            raise ValueError(f"{what} has no setting {name!r}{hint}")
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{name} must be a finite number, a name or a list, found {value}")
        found[key] = value
    return found


def to_json(settings: dict[str, object]) -> str:
    """The settings as JSON. Values may be paths, tuples and NumPy numbers."""

    def plain(value: object) -> object:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        raise TypeError(f"a setting must be a number, a name, a path or a list, found {value!r}")

    return json.dumps(settings, default=plain, allow_nan=False)


def call(name: str, settings: dict[str, object]) -> str:
    """A call with these arguments, as Python source."""
    given = [f"{key}={_shown(value)}" for key, value in settings.items() if value is not None]
    return f"lsoftmax.{name}({', '.join(given)})"


def _shown(value: object) -> str:
    return repr(os.fspath(value)) if isinstance(value, os.PathLike) else repr(value)
