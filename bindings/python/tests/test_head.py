"""MarginHead against PyTorch, pytorch-metric-learning and itself on other paths, and bad input."""

import copy
import math
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import lsoftmax.torch as lt  # noqa: E402
from lsoftmax.torch import MarginHead  # noqa: E402

LOSSES = [
    ("softmax", {}),
    ("l-softmax", {"margin": 2}),
    ("l-softmax", {"margin": 4}),
    ("a-softmax", {"margin": 3}),
    ("cos-face", {}),
    ("arc-face", {}),
    ("combined", {}),
]


def head(loss, dtype=torch.float64, classes=5, **settings):
    """A head with the full margin, unless the settings say otherwise."""
    torch.manual_seed(1)
    if loss in ("l-softmax", "a-softmax"):
        settings = {"annealing": "none", **settings}
    return MarginHead(6, classes, 100, loss, dtype=dtype, **settings)


def batch(dtype=torch.float64, rows=8, classes=5):
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(rows, 6, generator=generator, dtype=dtype)
    labels = torch.randint(classes, (rows,), generator=generator)
    return features.requires_grad_(), labels


def gradients(loss, *tensors):
    return torch.autograd.grad(loss.sum(), tensors)


def test_softmax_is_that_of_pytorch():
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            for ignore in (None, 2):
                ours = head(
                    "softmax", reduction=reduction, label_smoothing=smoothing, ignore_index=ignore,
                    class_weights=[1.0, 2.0, 0.5, 1.0, 3.0] if smoothing == 0.0 else None,
                )
                features, labels = batch()
                weights = ours._class_weights
                expected = torch.nn.functional.cross_entropy(
                    features @ ours.weight.T, labels, weight=weights, reduction=reduction,
                    label_smoothing=smoothing, ignore_index=-100 if ignore is None else ignore,
                )
                found = ours(features, labels)
                assert torch.allclose(found, expected, atol=1e-12)
                theirs = gradients(expected, features, ours.weight)
                for mine, other in zip(gradients(found, features, ours.weight), theirs):
                    assert torch.allclose(mine, other, atol=1e-12)


@pytest.mark.parametrize(("loss", "settings"), LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradients_are_those_of_finite_differences(loss, settings, reduction):
    ours = head(loss, reduction=reduction, **settings)
    features, labels = batch()
    weights = torch.rand(8, dtype=torch.float64)

    weight = ours.weight.detach().clone().requires_grad_()
    del ours._parameters["weight"]
    ours.weight = weight

    def loss_of(x, w):
        ours.weight = w
        return ours(x, labels, 0, weights)

    assert torch.autograd.gradcheck(loss_of, (features, weight), atol=1e-6)


@pytest.mark.parametrize(("loss", "settings"), LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_path_of_other_devices_gives_the_same(loss, settings, reduction, monkeypatch):
    extras = {"label_smoothing": 0.1, "ignore_index": 3, "class_counts": [5, 9, 7, 4, 30]}
    if loss in ("l-softmax", "a-softmax"):
        extras["annealing"] = "auto"
    ours = head(loss, reduction=reduction, **{**settings, **extras})
    features, labels = batch()
    fused = ours.loss_with_targets(features, labels, 60)
    expected = gradients(fused.loss, features, ours.weight)
    monkeypatch.setattr(lt, "_fused", lt._composed)
    composed = ours.loss_with_targets(features, labels, 60)
    assert torch.allclose(composed.loss, fused.loss, atol=1e-10)
    assert torch.allclose(composed.targets, fused.targets, atol=1e-10)
    assert composed.lam == pytest.approx(fused.lam)
    for mine, other in zip(gradients(composed.loss, features, ours.weight), expected):
        assert torch.allclose(mine, other, atol=1e-10)


@pytest.mark.parametrize(
    ("loss", "settings", "peer", "options"),
    [
        ("arc-face", {"scale": 16.0, "margin": 0.5}, "ArcFaceLoss", {"margin": math.degrees(0.5)}),
        ("cos-face", {"scale": 16.0, "margin": 0.35}, "CosFaceLoss", {"margin": 0.35}),
    ],
)
def test_angular_losses_are_those_of_pytorch_metric_learning(loss, settings, peer, options):
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    ours = head(loss, **settings)
    theirs = getattr(losses, peer)(5, 6, scale=16.0, **options).double()
    theirs.W.data = ours.weight.data.T.clone()
    features, labels = batch()
    with torch.no_grad():
        expected = float(theirs(features, labels))
        assert float(ours(features, labels)) == pytest.approx(expected, abs=1e-9)


def test_l_softmax_is_its_formula():
    ours = head("l-softmax", margin=3)
    features, labels = batch()
    with torch.no_grad():
        logits = features @ ours.weight.T
        norms = features.norm(dim=1) * ours.weight[labels].norm(dim=1)
        theta = torch.acos(logits.gather(1, labels[:, None])[:, 0] / norms)
        k = torch.floor(theta * 3 / math.pi)
        psi = (-1.0) ** k * torch.cos(3 * theta) - 2 * k
        logits = logits.scatter(1, labels[:, None], (norms * psi)[:, None])
        expected = torch.nn.functional.cross_entropy(logits, labels)
        assert float(ours(features, labels)) == pytest.approx(float(expected), abs=1e-12)


def test_the_schedule_follows_the_step():
    torch.manual_seed(0)
    ours = MarginHead(6, 5, iterations=1000, annealing="power-law")
    features, labels = batch(torch.float32)
    constant = MarginHead(6, 5, iterations=1000, annealing="constant", lambda_=5.0)
    assert constant.loss_with_targets(features, labels, 7).lam == 5.0
    lambdas = [ours.loss_with_targets(features, labels, step).lam for step in (0, 100, 900)]
    assert lambdas == sorted(lambdas, reverse=True) and lambdas[0] > lambdas[-1]


def test_half_precision_is_computed_in_float32():
    ours = MarginHead(6, 5, loss="softmax")
    features, labels = batch(torch.float32)
    half = features.detach().to(torch.bfloat16).requires_grad_()
    found = ours(half, labels)
    assert found.dtype == torch.float32
    found.backward()
    assert half.grad.dtype == torch.bfloat16
    expected = ours(half.detach().float(), labels)
    assert float(found) == pytest.approx(float(expected), abs=1e-6)


def test_logits_and_cosines():
    ours = head("l-softmax")
    features, _ = batch()
    assert torch.allclose(ours.logits(features), features @ ours.weight.T)
    expected = torch.nn.functional.cosine_similarity(features[:, None], ours.weight[None], dim=2)
    assert torch.allclose(ours.cosines(features), expected)
    scaled = head("arc-face", scale=30.0)
    assert torch.allclose(scaled.logits(features), 30.0 * scaled.cosines(features))
    assert torch.all(scaled.cosines(torch.zeros(2, 6, dtype=torch.float64)) == 0)


def test_state_goes_back_into_an_equal_head_and_no_other():
    ours = head("l-softmax", margin=2)
    same = head("l-softmax", margin=2)
    torch.nn.init.zeros_(same.weight)
    same.load_state_dict(ours.state_dict())
    assert torch.equal(same.weight, ours.weight)
    with pytest.raises(Exception, match="another loss"):
        head("l-softmax", margin=4).load_state_dict(ours.state_dict())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_gives_the_same_loss(copied):
    ours = head("l-softmax", margin=3, class_counts=[5, 9, 7, 4, 30])
    features, labels = batch()
    again = copied(ours)
    assert again.weight is not ours.weight
    assert torch.equal(again(features, labels, 7), ours(features, labels, 7))
    again.load_state_dict(ours.state_dict())


def test_an_average_of_the_weights_can_be_kept():
    ours = head("arc-face")
    averaged = torch.optim.swa_utils.AveragedModel(ours)
    averaged.update_parameters(ours)
    features, labels = batch()
    assert torch.equal(averaged(features, labels), ours(features, labels))


def test_gradients_add_up_over_backward_passes():
    ours = head("l-softmax")
    features, labels = batch()
    once = gradients(ours(features, labels), features, ours.weight)
    loss = ours(features, labels)
    loss.backward(retain_graph=True)
    loss.backward(retain_graph=True)
    (3 * loss).backward()
    for found, single in zip((features.grad, ours.weight.grad), once):
        assert torch.allclose(found, 5 * single, atol=1e-12)


def test_training_learns():
    torch.manual_seed(0)
    labels = torch.arange(60) % 3
    images = torch.randn(3, 10)[labels] + 0.3 * torch.randn(60, 10)
    model = torch.nn.Linear(10, 4)
    ours = MarginHead(4, 3, iterations=200)
    optimiser = torch.optim.SGD([*model.parameters(), *ours.parameters()], lr=0.1, momentum=0.9)
    for step in range(200):
        optimiser.zero_grad()
        ours(model(images), labels, step).backward()
        optimiser.step()
    assert torch.equal(ours.logits(model(images)).argmax(1), labels)
    assert "L-Softmax" in repr(ours)


def test_it_works_in_a_lightning_module():
    lightning = pytest.importorskip("lightning")

    class Classifier(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.backbone = torch.nn.Linear(6, 4)
            self.head = MarginHead(4, 3, iterations=20)

        def training_step(self, batch, _):
            images, labels = batch
            return self.head(self.backbone(images), labels, self.global_step)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.TensorDataset(torch.randn(32, 6), torch.arange(32) % 3)
    model = Classifier()
    before = model.head.weight.detach().clone()
    trainer = lightning.Trainer(
        max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        accelerator="cpu",
    )
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=8))
    assert not torch.equal(before, model.head.weight)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "l-softmx"}, "l-softmax"),
        ({"margn": 3}, "did you mean 'margin'"),
        ({"network": "mnist"}, "no setting 'network'"),
        ({"margin": float("nan")}, "margin must be a finite number"),
        ({"annealing": None}, "annealing must be"),
        ({"margin": 40}, "40"),
        ({"loss": "triplet"}, "margin loss"),
        ({"annealing": "sometimes"}, "sometimes"),
        ({"reduction": "max"}, "reduction"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"class_weights": [1.0]}, "class_weights"),
        ({"class_weights": [1.0, 1.0, -1.0]}, "at 2"),
        ({"class_counts": [1]}, "class_counts"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        MarginHead(4, 3, **settings)


@pytest.mark.parametrize("sizes", [(0, 3), (4, 0), (-1, 3), (4, -1)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises((ValueError, OverflowError)):
        MarginHead(*sizes)


def test_bad_batches_are_refused():
    ours = head("l-softmax", torch.float32)
    x, y = torch.zeros(2, 6), torch.tensor([0, 1])
    bad = [
        (torch.zeros(2, 5), y, ValueError, r"\[batch, 6\]"),
        (torch.zeros(2, 6, dtype=torch.int64), y, TypeError, "floating-point"),
        (np.zeros((2, 6), np.float32), y, TypeError, "tensor"),
        (x, torch.tensor([0, 5]), ValueError, r"label 5 in row 1 .* 5 classes"),
        (x, torch.tensor([0, -1]), ValueError, "label -1 in row 1"),
        (x, torch.tensor([0]), ValueError, "shape"),
        (x, torch.tensor([0.0, 1.0]), TypeError, "whole numbers"),
        (torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64), ValueError, "empty"),
        (torch.zeros(2, 6, device="meta"), y, ValueError, "move one of them"),
    ]
    for features, labels, error, words in bad:
        with pytest.raises(error, match=words):
            ours(features, labels)
    with pytest.raises(ValueError, match="at 1"):
        ours(x, y, 0, torch.tensor([1.0, float("nan")]))
    with pytest.raises(OverflowError):
        ours(x, y, -1)


def test_a_batch_that_is_not_finite_gives_a_loss_that_is_not():
    ours = head("l-softmax", torch.float32)
    for value in (float("nan"), float("inf")):
        features = torch.full((2, 6), value)
        assert not math.isfinite(float(ours(features, torch.tensor([0, 1]))))


def test_a_feature_of_zeros_has_a_gradient_that_is_finite():
    for loss, settings in LOSSES:
        ours = head(loss, **settings)
        features = torch.zeros(2, 6, dtype=torch.float64, requires_grad=True)
        found = ours(features, torch.tensor([0, 1]))
        for gradient in gradients(found, features, ours.weight):
            assert torch.isfinite(gradient).all(), loss
