"""Metrics of embeddings on NumPy arrays. The results are dataclasses.

Embeddings are float32 arrays ``[row, column]`` in C order and are read without a copy. Labels are integer
arrays ``[row]``. Embeddings with another dtype or order are refused instead of being copied silently:
``TypeError`` for a wrong dtype, ``ValueError`` for a wrong shape, order or value.

The results do not depend on the number of threads. PyTorch is not needed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsoftmax import _lsoftmax

__all__ = [
    "BestThreshold", "Clusters", "EqualErrorRate", "Fold", "Identification", "KFold", "OpenSetPoint",
    "OperatingPoint", "Retrieval", "TarAtFar", "TpirAtFpir", "Verification",
    "adjusted_mutual_information", "cosine_scores", "identification", "k_fold", "k_fold_embeddings",
    "k_means", "nearest", "normalized_mutual_information", "retrieval", "retrieval_in", "roc_curve",
    "unit_rows", "verification",
]


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """A threshold and its rates."""

    threshold: float
    """Pairs with at least this score are accepted."""
    far: float
    """Share of the different pairs that are accepted."""
    tar: float
    """Share of the same pairs that are accepted."""


@dataclasses.dataclass(frozen=True)
class TarAtFar:
    """The true accept rate at a requested false accept rate."""

    asked: float
    """The requested rate."""
    measured: OperatingPoint | None
    """``None`` with fewer than ``1 / asked`` different pairs, too few to measure this rate."""


@dataclasses.dataclass(frozen=True)
class EqualErrorRate:
    """The point at which false accepts and false rejects are equally frequent."""

    rate: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class BestThreshold:
    """The threshold with the largest accuracy."""

    threshold: float
    accuracy: float
    """Share of all pairs that are classified correctly, 0 to 1."""


@dataclasses.dataclass(frozen=True)
class Verification:
    """Quality of verification (1:1): do two images show the same class? The result of :func:`verification`."""

    auc: float
    eer: EqualErrorRate
    best_threshold: BestThreshold
    tar_at_far: list[TarAtFar]
    same_pairs: int
    different_pairs: int


@dataclasses.dataclass(frozen=True)
class Fold:
    """One held-out fold of a cross-validation."""

    fold: int
    pairs: int
    threshold: float
    """The threshold with the best accuracy on all other folds."""
    accuracy_percent: float


@dataclasses.dataclass(frozen=True)
class KFold:
    """Verification accuracy by cross-validation."""

    accuracy_percent: float
    """Mean over the folds."""
    standard_error_percent: float
    """Standard error of the mean."""
    folds: list[Fold]


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """Quality of retrieval: do the nearest neighbours of a query belong to its class? Shares from 0 to 1."""

    queries: int
    """Number of queries that have another row of their class. All means are over these."""
    without_reference: int
    """Number of queries that have none. They are left out."""
    recall_at: dict[int, float]
    precision_at_1: float
    r_precision: float
    map_at_r: float
    mean_average_precision: float


@dataclasses.dataclass(frozen=True)
class OpenSetPoint:
    """A threshold and its open-set identification rates."""

    threshold: float
    fpir: float
    """False positive identification rate: the share of non-mated probes for which an identity is reported."""
    tpir: float
    """True positive identification rate: the share of mated probes whose identity is ranked first and reported."""


@dataclasses.dataclass(frozen=True)
class TpirAtFpir:
    """The true positive identification rate at a requested false positive identification rate."""

    asked: float
    measured: OpenSetPoint | None


@dataclasses.dataclass(frozen=True)
class Identification:
    """Quality of identification (1:N): whose image is it? The result of :func:`identification`."""

    identities: int
    mated: int
    """Number of probes whose identity is in the gallery."""
    non_mated: int
    """Number of probes whose identity is not in the gallery."""
    cmc: list[float]
    """Identification rate at rank 1, 2, ...; empty if there are no mated probes."""
    tpir_at_fpir: list[TpirAtFpir]
    """Empty unless there are mated and non-mated probes."""


@dataclasses.dataclass(frozen=True)
class Clusters:
    """The result of :func:`k_means`."""

    clusters: NDArray[np.int64]
    """``[row]``: the cluster of each row."""
    centroids: NDArray[np.float32]
    """``[cluster, column]``."""
    inertia: float
    """Sum of the squared distances to the centroids."""
    iterations: int
    converged: bool


def _whole(values: ArrayLike, name: str) -> NDArray[np.integer]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must be whole numbers, found an array of {array.dtype}")
    return array


def _labels(values: ArrayLike) -> NDArray[np.int64]:
    return np.ascontiguousarray(_whole(values, "labels"), dtype=np.int64)


def _rows_of(values: ArrayLike, rows: int) -> NDArray[np.uint32]:
    array = _whole(values, "leave_out")
    # Check before the cast, in which values that do not fit would wrap around.
    outside = (array < 0) | (array >= rows)
    if outside.any():
        raise ValueError(
            f"leave_out must be rows of the gallery, 0 to {rows - 1}, found {array[outside][0]}"
        )
    return np.ascontiguousarray(array, dtype=np.uint32)


def _bools(values: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(values)
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        raise ValueError("same must hold True and False (or 1 and 0)")
    return np.ascontiguousarray(array, dtype=bool)


def _scores(values: ArrayLike) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _point(kind: type, found: dict):
    return None if found["measured"] is None else kind(**found["measured"])


def unit_rows(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divides each row of ``[row, column]`` by its length. Zero rows stay zero."""
    return _lsoftmax.unit_rows(embeddings)


def cosine_scores(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of each pair of rows. Both inputs are ``[pair, column]``; the result is ``[pair]``."""
    return _lsoftmax.cosine_scores(left, right)


def verification(
    scores: ArrayLike, same: ArrayLike, fars: Sequence[float] = (1e-3, 1e-2, 1e-1)
) -> Verification:
    """Computes AUC, equal error rate, best threshold, and the true accept rates at given false accept rates.

    ``scores`` ``[pair]``: larger means more similar. ``same`` ``[pair]``: whether both show the same class.
    """
    found = json.loads(_lsoftmax.roc(_scores(scores), _bools(same), list(fars)))
    return Verification(
        auc=found["auc"],
        eer=EqualErrorRate(**found["eer"]),
        best_threshold=BestThreshold(**found["best_threshold"]),
        tar_at_far=[
            TarAtFar(tar["asked"], _point(OperatingPoint, tar)) for tar in found["tar_at_far"]
        ],
        same_pairs=found["same_pairs"],
        different_pairs=found["different_pairs"],
    )


def roc_curve(
    scores: ArrayLike, same: ArrayLike, most: int = 1000
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The ROC curve: false accept rates, true accept rates and thresholds, each ``[point]``.

    ``most`` limits the number of points.
    """
    points = _lsoftmax.roc_points(_scores(scores), _bools(same), most)
    return points[:, 0].copy(), points[:, 1].copy(), points[:, 2].copy()


def _k_fold(text: str) -> KFold:
    found = json.loads(text)
    folds = [Fold(**fold) for fold in found.pop("folds")]
    return KFold(**found, folds=folds)


def k_fold(scores: ArrayLike, same: ArrayLike, folds: ArrayLike) -> KFold:
    """Accuracy by the protocol of LFW: the threshold for a fold is chosen on all other folds.

    ``folds`` ``[pair]`` contains the fold number of each pair.
    """
    return _k_fold(_lsoftmax.cross_validated(_scores(scores), _bools(same), _labels(folds)))


def k_fold_embeddings(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    same: ArrayLike,
    folds: ArrayLike,
    centred: bool = False,
) -> KFold:
    """:func:`k_fold` for embeddings: the left and right images ``[pair, column]``, scored by cosine.

    With ``centred``, the mean of the other folds is subtracted first.
    """
    return _k_fold(
        _lsoftmax.cross_validated_embeddings(left, right, _bools(same), _labels(folds), centred)
    )


def _retrieval(text: str) -> Retrieval:
    found = json.loads(text)
    recall_at = {int(k): share for k, share in found.pop("recall_at")}
    return Retrieval(**found, recall_at=recall_at)


def retrieval(
    embeddings: NDArray[np.float32], labels: ArrayLike, recall_at: Sequence[int] = (1, 2, 4, 8)
) -> Retrieval:
    """Retrieval of each row among all others by inner product: Recall@K, R-precision, MAP@R, mAP.

    Pass :func:`unit_rows` of the embeddings to rank by cosine. This gives the same order as the Euclidean
    distance of the unit rows.
    """
    return _retrieval(_lsoftmax.ranked(embeddings, _labels(labels), list(recall_at)))


def retrieval_in(
    queries: NDArray[np.float32],
    query_labels: ArrayLike,
    gallery: NDArray[np.float32],
    gallery_labels: ArrayLike,
    recall_at: Sequence[int] = (1, 2, 4, 8),
) -> Retrieval:
    """:func:`retrieval` of queries in a gallery that does not contain them."""
    return _retrieval(
        _lsoftmax.ranked_in(
            queries, _labels(query_labels), gallery, _labels(gallery_labels), list(recall_at)
        )
    )


def identification(
    probes: NDArray[np.float32],
    probe_labels: ArrayLike,
    gallery: NDArray[np.float32],
    gallery_labels: ArrayLike,
    ranks: int = 10,
    fpirs: Sequence[float] = (1e-2, 1e-1),
) -> Identification:
    """Compares probes with a gallery by cosine. The score of an identity is that of its best image.

    ``ranks`` is the length of the curve of identification rates (CMC).
    """
    found = json.loads(
        _lsoftmax.identification(
            probes, _labels(probe_labels), gallery, _labels(gallery_labels), ranks, list(fpirs)
        )
    )
    rates = [TpirAtFpir(it["asked"], _point(OpenSetPoint, it)) for it in found.pop("tpir_at_fpir")]
    return Identification(**found, tpir_at_fpir=rates)


def k_means(
    embeddings: NDArray[np.float32], k: int, seed: int = 0, iterations: int = 100
) -> Clusters:
    """k-means with k-means++ seeding; the same seed gives the same clusters."""
    return Clusters(*_lsoftmax.clusters(embeddings, k, seed, iterations))


def normalized_mutual_information(labels: ArrayLike, clusters: ArrayLike) -> float:
    """NMI of two partitions ``[row]``, normalised by the arithmetic mean of the entropies."""
    return _lsoftmax.nmi(_labels(labels), _labels(clusters))


def adjusted_mutual_information(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Mutual information adjusted for chance, normalised by the arithmetic mean of the entropies."""
    return _lsoftmax.ami(_labels(labels), _labels(clusters))


def nearest(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    k: int,
    leave_out: ArrayLike | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Finds the ``k`` gallery rows with the largest inner product for each query: exact, in fixed memory.

    Returns rows and inner products, both ``[query, k]``, best first; ties go to the lower row.
    ``leave_out`` ``[query]`` gives a gallery row to exclude for each query, such as the query itself.
    """
    if leave_out is not None:
        leave_out = _rows_of(leave_out, len(gallery))
    return _lsoftmax.nearest(queries, gallery, k, leave_out)
