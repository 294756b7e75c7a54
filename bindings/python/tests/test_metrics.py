"""The metrics against scikit-learn, pytorch-metric-learning and numpy, and bad input."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from lsoftmax import metrics

sklearn_metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture
def pairs(rng):
    same = np.arange(600) % 2 == 0
    scores = np.where(same, 0.6, 0.2) + 0.25 * rng.standard_normal(600)
    return scores.astype(np.float32), same


def test_verification_is_that_of_scikit_learn(pairs):
    scores, same = pairs
    found = metrics.verification(scores, same, fars=[0.01, 0.1, 1e-9])
    assert found.auc == pytest.approx(sklearn_metrics.roc_auc_score(same, scores), abs=1e-12)
    fars, tars, _ = sklearn_metrics.roc_curve(same, scores, drop_intermediate=False)
    for tar in found.tar_at_far[:2]:
        assert tar.measured.tar == pytest.approx(tars[fars <= tar.asked].max())
    assert found.tar_at_far[2].measured is None
    accuracy = np.mean((scores >= np.float32(found.best_threshold.threshold)) == same)
    assert found.best_threshold.accuracy == pytest.approx(accuracy)
    assert (found.same_pairs, found.different_pairs) == (300, 300)
    near = np.argmin(np.abs(fars - (1 - tars)))
    assert found.eer.rate == pytest.approx(fars[near], abs=0.01)


def test_the_curve_is_that_of_scikit_learn(pairs):
    scores, same = pairs
    far, tar, thresholds = metrics.roc_curve(scores, same, most=10_000)
    assert np.trapezoid(tar, far) == pytest.approx(sklearn_metrics.roc_auc_score(same, scores))
    assert np.all(np.diff(far) >= 0) and thresholds.shape == far.shape


def test_folds_use_thresholds_of_the_others(pairs):
    scores, same = pairs
    folds = np.arange(600) // 60
    found = metrics.k_fold(scores, same, folds)
    assert [fold.fold for fold in found.folds] == list(range(10))
    accuracies = [
        100 * np.mean((scores[folds == f.fold] >= np.float32(f.threshold)) == same[folds == f.fold])
        for f in found.folds
    ]
    assert found.accuracy_percent == pytest.approx(np.mean(accuracies))
    error = np.std(accuracies, ddof=1) / np.sqrt(10)
    assert found.standard_error_percent == pytest.approx(error)


def test_retrieval_is_that_of_pytorch_metric_learning(clustered):
    embeddings, labels = clustered
    calculators = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    inference = pytest.importorskip("pytorch_metric_learning.utils.inference")
    knn = inference.CustomKNN(
        pytest.importorskip("pytorch_metric_learning.distances").DotProductSimilarity()
    )
    calculator = calculators.AccuracyCalculator(include=names, knn_func=knn)
    torch = pytest.importorskip("torch")
    expected = calculator.get_accuracy(torch.from_numpy(embeddings), torch.from_numpy(labels))
    found = metrics.retrieval(embeddings, labels)
    assert found.precision_at_1 == pytest.approx(expected["precision_at_1"], abs=1e-12)
    assert found.r_precision == pytest.approx(expected["r_precision"], abs=1e-12)
    assert found.map_at_r == pytest.approx(expected["mean_average_precision_at_r"], abs=1e-12)
    assert list(found.recall_at) == [1, 2, 4, 8]
    assert found.queries == 240


def test_retrieval_in_another_gallery(clustered):
    embeddings, labels = clustered
    found = metrics.retrieval_in(
        embeddings[:100], labels[:100], embeddings[100:], labels[100:], recall_at=[1, 5]
    )
    similarity = embeddings[:100] @ embeddings[100:].T
    nearest = labels[100:][similarity.argmax(1)]
    assert found.recall_at[1] == pytest.approx(np.mean(nearest == labels[:100]))


def test_identification(clustered):
    embeddings, labels = clustered
    known = labels < 9
    gallery = known & (np.arange(240) < 120)
    probes = ~gallery
    found = metrics.identification(
        embeddings[probes], labels[probes], embeddings[gallery], labels[gallery], fpirs=[0.1]
    )
    similarity = embeddings[probes] @ embeddings[gallery].T
    best = labels[gallery][similarity.argmax(1)]
    mated = labels[probes] < 9
    assert (found.mated, found.non_mated) == (mated.sum(), (~mated).sum())
    assert found.cmc[0] == pytest.approx(np.mean((best == labels[probes])[mated]))
    assert found.cmc == sorted(found.cmc) and len(found.cmc) == 9
    assert found.tpir_at_fpir[0].measured.fpir <= 0.1


def test_clusters_and_their_agreement_with_labels(clustered):
    embeddings, labels = clustered
    found = metrics.k_means(embeddings, 12, seed=3)
    assert found.clusters.shape == (240,) and found.centroids.shape == (12, 16)
    distances = ((embeddings[:, None] - found.centroids[None]) ** 2).sum(2)
    assert np.array_equal(distances.argmin(1), found.clusters)
    nmi = sklearn_metrics.normalized_mutual_info_score(labels, found.clusters)
    ami = sklearn_metrics.adjusted_mutual_info_score(labels, found.clusters)
    assert metrics.normalized_mutual_information(labels, found.clusters) == pytest.approx(nmi)
    assert metrics.adjusted_mutual_information(labels, found.clusters) == pytest.approx(ami)
    again = metrics.k_means(embeddings, 12, seed=3)
    assert np.array_equal(again.clusters, found.clusters)


def test_nearest_neighbours_are_exact(clustered):
    embeddings, _ = clustered
    gallery = np.concatenate([embeddings] * 40)  # more rows than a block
    rows, scores = metrics.nearest(embeddings[:7], gallery, 3)
    similarity = embeddings[:7] @ gallery.T
    expected = np.argsort(-similarity, axis=1, kind="stable")[:, :3]
    assert np.allclose(scores, np.take_along_axis(similarity, expected, 1), atol=1e-6)
    assert rows.dtype == np.uint32 and rows.shape == (7, 3)
    own = np.arange(7)
    rows, _ = metrics.nearest(embeddings[:7], embeddings, 1, leave_out=own)
    assert not np.any(rows[:, 0] == own)


def test_unit_rows_and_cosines(rng):
    rows = rng.standard_normal((5, 4), dtype=np.float32)
    units = metrics.unit_rows(rows)
    assert np.allclose(np.linalg.norm(units, axis=1), 1.0)
    assert np.allclose(metrics.cosine_scores(rows, 2 * rows), 1.0)


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (np.zeros((4, 3)), TypeError, "float32, found float64"),
        (np.zeros(4, np.float32), ValueError, r"2-dimensional .* shape \[4\]"),
        (np.zeros((3, 4), np.float32).T, ValueError, "ascontiguousarray"),
        ([[0.0, 1.0]], TypeError, "must be a numpy array of float32, found list"),
        (np.full((4, 3), np.nan, np.float32), ValueError, "row 0"),
        (np.full((4, 3), np.inf, np.float32), ValueError, "row 0"),
    ],
)
def test_bad_embeddings_are_refused(bad, error, words):
    with pytest.raises(error, match=words):
        metrics.unit_rows(bad)


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        ([0, 1], ValueError, "expected 4"),
        ([0, 1, 2, -3], ValueError, "row 3 has -3"),
        ([0.5, 1, 2, 3], TypeError, "whole numbers"),
        ([[0, 1, 2, 3]], ValueError, "1-dimensional"),
        ([0, 1, 2, 3], ValueError, "at least one sample"),  # no row has another row of its class
    ],
)
def test_bad_labels_are_refused(labels, error, words):
    rows = np.eye(4, dtype=np.float32)
    with pytest.raises(error, match=words):
        metrics.retrieval(rows, np.array(labels))


def test_other_bad_input_is_refused():
    rows = np.eye(4, dtype=np.float32)
    with pytest.raises(ValueError):
        metrics.nearest(rows, np.eye(5, dtype=np.float32), 1)
    with pytest.raises(ValueError):
        metrics.nearest(rows, rows, 0)
    with pytest.raises(ValueError):
        metrics.nearest(rows, rows, 5)
    with pytest.raises(ValueError):
        metrics.k_means(rows, 5)
    with pytest.raises(ValueError):
        metrics.verification([0.1, 0.2], [True, True])
    with pytest.raises(ValueError, match="True and False"):
        metrics.verification([0.1, 0.2], [2, 3])
    with pytest.raises(OverflowError):
        metrics.nearest(rows, rows, -1)
    with pytest.raises(ValueError):
        metrics.retrieval(np.zeros((0, 4), np.float32), [])


@pytest.mark.parametrize(
    ("leave_out", "error"),
    [
        ([0.5, 1.0, 2.0, 3.0], TypeError),
        ([0, 1, 2, -1], ValueError),
        ([0, 1, 2, 4], ValueError),
        ([0, 1, 2, 2**32], ValueError),  # 0 after a cast to 32 bits
        ([0, 1, 2], ValueError),
    ],
)
def test_rows_to_leave_out_are_rows_of_the_gallery(leave_out, error):
    rows = np.eye(4, dtype=np.float32)
    with pytest.raises(error):
        metrics.nearest(rows, rows, 1, leave_out=np.array(leave_out))


# Each takes minutes.
WORK = {
    "retrieval": "metrics.retrieval(rows, labels)",
    "retrieval_in": "metrics.retrieval_in(rows, labels, rows, labels)",
    "identification": "metrics.identification(rows, labels, rows, labels)",
    "k_means": "metrics.k_means(rows, 20_000)",
    "nearest": "metrics.nearest(rows, rows, 10)",
    "k_fold": "metrics.k_fold(np.tile(rows[:, 0], 50), np.tile(labels < 90, 50), np.tile(labels, 50))",
}
# Signals may be ignored where the tests themselves run in the background.
CHILD = """
import signal
import numpy as np
from lsoftmax import metrics
rows = np.random.default_rng(0).standard_normal((200_000, 256), dtype=np.float32)
labels = np.arange(200_000) % 100
signal.signal(signal.SIGINT, signal.default_int_handler)
print("begins", flush=True)
{work}
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("name", WORK)
def test_ctrl_c_ends_long_work(name):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(work=WORK[name])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert child.stdout.readline() == "begins\n"
    time.sleep(0.5)
    start = time.monotonic()
    child.send_signal(signal.SIGINT)
    errors = child.communicate(timeout=600)[1]
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors
    assert time.monotonic() - start < 15
