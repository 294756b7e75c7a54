"""The margin losses as a PyTorch module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lsoftmax import _lsoftmax, _settings

try:
    import torch
except ImportError as error:
    raise ImportError(
        "lsoftmax.torch needs PyTorch: install it with `pip install lsoftmax[torch]`"
    ) from error

__all__ = ["HeadOutput", "MarginHead"]

_TINY = 1e-30
# The settings of losses and of schedules in experiment files.
_SETTINGS = (
    "margin", "scale", "margins", "annealing", "lambda", "lambda-min", "gamma", "power", "factor",
    "stages", "gate", "class-balance",
)


class HeadOutput(NamedTuple):
    """The result of :meth:`MarginHead.loss_with_targets`."""

    loss: torch.Tensor
    """``[]``, or ``[batch]`` without reduction; differentiable."""
    targets: torch.Tensor
    """``[batch, 4]``: cosine with the target class weight, norm of the feature, norm of the class weight,
    and probability of the target class without margin; not differentiable."""
    lam: float
    """λ of the batch; infinite while the margin is off."""


class MarginHead(torch.nn.Module):
    """The class layer and the loss of a large-margin softmax: L-Softmax, A-Softmax, CosFace, ArcFace.

    It replaces the last linear layer and the cross-entropy of a classifier::

        head = MarginHead(256, 10, iterations=18_000)        # L-Softmax m = 4, safe schedule
        loss = head(features, labels, step)                  # training
        predicted = head.logits(features).argmax(1)          # no label, no margin

    On the CPU, a fused kernel computes loss and gradients. On other devices, the same numbers are computed
    with PyTorch operations, except for the target logits, which are computed on the host.

    :param feature_size: length of a feature vector.
    :param classes: number of classes.
    :param iterations: number of training steps, which the schedule of λ needs.
    :param loss: ``softmax``, ``l-softmax``, ``a-softmax``, ``cos-face``, ``arc-face`` or ``combined``.
    :param reduction: ``mean``, ``sum`` or ``none``, as in PyTorch. A mean is weighted.
    :param class_weights: weight of the samples of each class, ``[class]``.
    :param class_counts: number of training samples of each class, ``[class]``. Classes with more samples
        than the rarest class then get a smaller share of the margin.
    :param label_smoothing: label smoothing, at least 0 and below 1.
    :param ignore_index: a label that marks samples to leave out.
    :param settings: any other setting of the loss and its schedule, named as in the experiment file with
        ``_`` for ``-``: ``margin``, ``scale``, ``annealing``, ``stages``, ``lambda_``, ...

    :raises ValueError: if a setting does not exist or is out of range.
    """

    def __init__(
        self,
        feature_size: int,
        classes: int,
        iterations: int = 18_000,
        loss: str = "l-softmax",
        *,
        reduction: str = "mean",
        class_weights: Sequence[float] | torch.Tensor | None = None,
        class_counts: Sequence[int] | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **settings,
    ) -> None:
        super().__init__()
        if feature_size < 1:
            raise ValueError(f"feature_size must be at least 1, found {feature_size}")
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction must be 'mean', 'sum' or 'none', found {reduction!r}")
        if not 0.0 <= label_smoothing < 1.0:
            expected = "label_smoothing must be at least 0 and below 1"
            raise ValueError(f"{expected}, found {label_smoothing}")
        keys = _settings.keys(settings, _SETTINGS, "a head")
        keys |= {"loss": loss, "iterations": int(iterations)}
        counts = None if class_counts is None else [int(count) for count in class_counts]
        self._of_rule = (_settings.to_json(keys), classes, counts)
        self._rule = _lsoftmax.Rule(*self._of_rule)
        self.feature_size = feature_size
        self.classes = classes
        self.reduction = reduction
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        if class_weights is not None:
            class_weights = torch.as_tensor(class_weights, dtype=torch.float64, device="cpu")
            if class_weights.shape != (classes,):
                found = tuple(class_weights.shape)
                raise ValueError(f"class_weights must have the shape ({classes},), found {found}")
            _check_weights("class_weights", class_weights)
        self._class_weights = class_weights
        self.weight = torch.nn.Parameter(
            torch.empty(classes, feature_size, device=device, dtype=dtype)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the class weights from a Gaussian with standard deviation ``sqrt(2 / feature_size)``."""
        torch.nn.init.normal_(self.weight, std=math.sqrt(2.0 / self.feature_size))

    def extra_repr(self) -> str:
        return f"{self.feature_size}, {self.classes}, loss={self._rule.label()!r}"

    def forward(
        self,
        features: torch.Tensor,
        labels: torch.Tensor,
        step: int = 0,
        sample_weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Computes the loss of a batch at a training step, counted from 0.

        :param features: ``[batch, feature]``. Half precision is computed in float32.
        :param labels: class labels, integers ``[batch]``.
        :param sample_weights: weights of the samples, ``[batch]``, finite and not negative.
        :returns: ``[]``, or ``[batch]`` if ``reduction`` is ``none``.
        :raises ValueError: if the shapes do not match, or a label is not a class.
        """
        return self.loss_with_targets(features, labels, step, sample_weights).loss

    def loss_with_targets(
        self,
        features: torch.Tensor,
        labels: torch.Tensor,
        step: int = 0,
        sample_weights: torch.Tensor | None = None,
    ) -> HeadOutput:
        """:meth:`forward`, with the cosine, norms and confidence of each sample and λ of the batch."""
        features, weight = self._operands(features)
        labels = self._checked_labels(features, labels)
        host = labels.detach().cpu().to(torch.int64).contiguous()
        ignored = None
        if self.ignore_index is not None:
            ignored = host == self.ignore_index
            host = host.masked_fill(ignored, 0)
        factors = self._factors(host, ignored, sample_weights)
        pull = self.label_smoothing * (1.0 - 1.0 / self.classes)
        batch = _Batch(self._rule, host, int(step), ignored, pull)
        in_kernel = features.device.type == "cpu" and weight.device.type == "cpu"
        compute = _fused if in_kernel else _composed
        loss, targets, lam = compute(features, weight, batch, self.reduction, factors)
        if self.label_smoothing > 0.0:
            others = self._other_logits(features, weight, host.to(features.device))
            by = factors if factors is not None else torch.full((len(host),), 1.0 / len(host))
            others = others * by.to(others)
            loss = loss + (others if self.reduction == "none" else others.sum())
        return HeadOutput(loss, targets, lam)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """The logits of the loss without its margin: ``[batch, feature]`` to ``[batch, class]``.

        ``w · x`` for softmax and L-Softmax, ``|x| cos θ`` for A-Softmax, scaled cosines for the losses
        that normalise. Their argmax is the trained classifier.
        """
        features, weight = _normalised(self._rule, *self._operands(features))
        return features @ weight.T

    def cosines(self, features: torch.Tensor) -> torch.Tensor:
        """The cosines between features and class weights, ``[batch, class]``; 0 for a zero vector."""
        features, weight = self._operands(features)
        return (_unit(features) @ _unit(weight).T).clamp(-1.0, 1.0)

    def __getstate__(self) -> dict:
        # Copying and pickling the module must skip the rule, which supports neither.
        return {name: value for name, value in self.__dict__.items() if name != "_rule"}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._rule = _lsoftmax.Rule(*self._of_rule)

    def get_extra_state(self) -> dict[str, str]:
        loss, annealing = self._rule.describe()
        return {"loss": loss, "annealing": annealing}

    def set_extra_state(self, state: dict[str, str]) -> None:
        if not isinstance(state, dict):
            raise ValueError(f"the state of a head must be a dict, found {type(state).__name__}")
        own = self.get_extra_state()
        for name, value in own.items():
            if state.get(name) != value:
                raise ValueError(
                    f"the state is of a head with another {name}: expected {value}, "
                    f"found {state.get(name)}; to load the weights alone, load them into `weight`"
                )

    def _operands(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not isinstance(features, torch.Tensor):
            raise TypeError(f"features must be a tensor, found {type(features).__name__}")
        if features.dim() != 2 or features.shape[1] != self.feature_size:
            found = tuple(features.shape)
            raise ValueError(f"features must be [batch, {self.feature_size}], found {found}")
        if not features.is_floating_point():
            raise TypeError(f"features must be floating-point numbers, found {features.dtype}")
        if features.device != self.weight.device:
            raise ValueError(
                f"features are on {features.device} and the head is on {self.weight.device}: "
                "move one of them with `.to(device)`"
            )
        double = torch.float64 in (features.dtype, self.weight.dtype)
        dtype = torch.float64 if double else torch.float32
        return features.to(dtype), self.weight.to(dtype)

    def _checked_labels(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        labels = torch.as_tensor(labels)
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise TypeError(f"labels must be whole numbers, found {labels.dtype}")
        if labels.shape != features.shape[:1]:
            expected, found = tuple(features.shape[:1]), tuple(labels.shape)
            raise ValueError(f"labels must have the shape {expected}, found {found}")
        if len(labels) == 0:
            raise ValueError("the batch is empty")
        return labels

    def _factors(
        self,
        labels: torch.Tensor,
        ignored: torch.Tensor | None,
        sample_weights: torch.Tensor | None,
    ) -> torch.Tensor | None:
        """The factor of each sample's loss in the loss of the batch, on the host; ``None`` for the mean."""
        weights = None
        if sample_weights is not None:
            weights = torch.as_tensor(sample_weights).detach().to("cpu", torch.float64)
            if weights.shape != labels.shape:
                expected, found = tuple(labels.shape), tuple(weights.shape)
                raise ValueError(f"sample_weights must have the shape {expected}, found {found}")
            _check_weights("sample_weights", weights)
        if self._class_weights is not None:
            of_classes = self._class_weights[labels]
            weights = of_classes if weights is None else weights * of_classes
        if ignored is not None and bool(ignored.any()):
            weights = torch.ones(len(labels), dtype=torch.float64) if weights is None else weights
            weights = weights.masked_fill(ignored, 0.0)
        if self.reduction == "mean":
            if weights is None:
                return None
            total = weights.sum()
            return weights / total if total > 0 else torch.zeros_like(weights)
        return torch.ones(len(labels), dtype=torch.float64) if weights is None else weights

    def _other_logits(self, features, weight, labels):
        """The part of label smoothing that concerns the classes other than the target class."""
        features, weight = _normalised(self._rule, features, weight)
        difference = weight[labels] - weight.sum(0)
        return (features * difference).sum(1) * (self.label_smoothing / self.classes)


class _Batch(NamedTuple):
    """The inputs of a batch that are not tensors of the network."""

    rule: _lsoftmax.Rule
    labels: torch.Tensor
    step: int
    ignored: torch.Tensor | None
    pull: float

    def run(self, features, weight, weights, gradient):
        return self.rule.cross_entropy(
            features.detach().contiguous().numpy(),
            weight.detach().contiguous().numpy(),
            self.labels.numpy(),
            self.step,
            None if weights is None else np.ascontiguousarray(weights, dtype=np.float64),
            None if self.ignored is None else self.ignored.numpy(),
            self.pull,
            gradient,
        )


def _fused(features, weight, batch, reduction, factors):
    function = _Losses if reduction == "none" else _Loss
    loss, targets, lam = function.apply(features, weight, batch, factors)
    return loss, targets, float(lam)


def _figures(ctx, targets, lam, features):
    """Cosines, norms, confidences and λ as outputs without a gradient."""
    targets = torch.from_numpy(targets).to(features.dtype)
    lam = torch.tensor(lam, dtype=torch.float64)
    ctx.mark_non_differentiable(targets, lam)
    return targets, lam


class _Loss(torch.autograd.Function):
    """The loss of a batch. The forward pass computes the gradient; the backward pass only scales it."""

    @staticmethod
    def forward(ctx, features, weight, batch, factors):
        needed = any(ctx.needs_input_grad[:2])
        weights = None if factors is None else factors.numpy()
        loss, _, targets, lam, gradients = batch.run(features, weight, weights, needed)
        if needed:
            ctx.save_for_backward(*map(torch.from_numpy, gradients))
        return torch.tensor(loss, dtype=features.dtype), *_figures(ctx, targets, lam, features)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, by, _targets, _lam):
        d_features, d_weight = ctx.saved_tensors
        # The usual factor is 1. Skipping it saves a copy as large as the class weights.
        if float(by) != 1.0:
            d_features, d_weight = by * d_features, by * d_weight
        return d_features, d_weight, None, None


class _Losses(torch.autograd.Function):
    """The losses of the samples. The backward pass weights them with the incoming gradient."""

    @staticmethod
    def forward(ctx, features, weight, batch, factors):
        _, losses, targets, lam, _ = batch.run(features, weight, None, False)
        ctx.save_for_backward(features, weight)
        ctx.batch, ctx.factors = batch, factors
        losses = torch.from_numpy(losses) * factors
        # A sample with weight 0 may have any loss, including NaN.
        losses = losses.masked_fill(factors == 0.0, 0.0).to(features.dtype)
        return losses, *_figures(ctx, targets, lam, features)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, by, _targets, _lam):
        features, weight = ctx.saved_tensors
        weights = (by.to(torch.float64) * ctx.factors).numpy()
        gradients = ctx.batch.run(features, weight, weights, True)[4]
        d_features, d_weight = map(torch.from_numpy, gradients)
        return d_features, d_weight, None, None


class _TargetLogit(torch.autograd.Function):
    """The margin as a function of cosine and norms, ``[batch]`` each, computed on the host."""

    @staticmethod
    def forward(ctx, cosine, feature_norm, weight_norm, batch, lam):
        targets = torch.stack([cosine, feature_norm, weight_norm], 1)
        targets = targets.detach().to("cpu", torch.float64).contiguous().numpy()
        found = batch.rule.target_logits(targets, batch.labels.numpy(), batch.step, lam)
        found = torch.from_numpy(found).to(cosine)
        ctx.save_for_backward(found)
        return found[:, 0].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, by):
        (found,) = ctx.saved_tensors
        return by * found[:, 1], by * found[:, 2], by * found[:, 3], None, None


def _composed(features, weight, batch, reduction, factors):
    """The same loss with PyTorch operations, on any device."""
    labels = batch.labels.to(features.device)
    feature_norm = torch.linalg.vector_norm(features, dim=1)
    own = weight[labels]
    own_norm = torch.linalg.vector_norm(own, dim=1)
    x, w = _normalised(batch.rule, features, weight)
    logits = x @ w.T
    plain = logits.gather(1, labels[:, None])[:, 0]
    has_angle = (feature_norm > _TINY) & (own_norm > _TINY)
    norms = (feature_norm * own_norm).clamp_min(_TINY)
    cosine = ((features * own).sum(1) / norms).clamp(-1.0, 1.0)
    with torch.no_grad():
        confidences = torch.softmax(logits.to(torch.float64), 1).gather(1, labels[:, None])[:, 0]
        host = confidences.cpu().contiguous().numpy()
        ignored = None if batch.ignored is None else batch.ignored.numpy()
        lam = batch.rule.lambda_of(host, batch.labels.numpy(), batch.step, ignored)
        targets = torch.stack([cosine, feature_norm, own_norm, confidences.to(cosine)], 1)
    target = _TargetLogit.apply(cosine, feature_norm, own_norm, batch, lam)
    target = torch.where(has_angle, target, plain)
    logits = logits.scatter(1, labels[:, None], target[:, None])
    losses = torch.logsumexp(logits, 1) - target + batch.pull * target
    if reduction == "none":
        return losses * factors.to(losses), targets, lam
    if factors is None:
        return losses.mean(), targets, lam
    return (losses * factors.to(losses)).sum(), targets, lam


def _normalised(rule, features, weight):
    """Features and class weights as they enter the logits."""
    unit_weights, scale = rule.normalisation()
    if scale is not None:
        features = _unit(features) * scale
    if unit_weights:
        weight = _unit(weight)
    return features, weight


def _unit(rows: torch.Tensor) -> torch.Tensor:
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / norms.clamp_min(_TINY)


def _check_weights(name: str, weights: torch.Tensor) -> None:
    wrong = ~torch.isfinite(weights) | (weights < 0)
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0, 0])
        raise ValueError(
            f"{name} must be finite and not negative, found {float(weights[index])} at {index}"
        )
