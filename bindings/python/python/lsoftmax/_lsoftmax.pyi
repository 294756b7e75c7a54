"""The native part, which the modules around it wrap."""

import numpy as np
from numpy.typing import NDArray

__version__: str

class Rule:
    def __new__(
        cls, settings: str, classes: int, class_counts: list[int] | None = None
    ) -> Rule: ...
    def describe(self) -> tuple[str, str]: ...
    def label(self) -> str: ...
    def normalisation(self) -> tuple[bool, float | None]: ...
    def lambda_of(
        self,
        confidences: NDArray[np.float64],
        labels: NDArray[np.int64],
        step: int,
        ignored: NDArray[np.bool_] | None = None,
    ) -> float: ...
    def target_logits(
        self,
        targets: NDArray[np.float64],
        labels: NDArray[np.int64],
        step: int,
        lam: float,
    ) -> NDArray[np.float64]: ...
    def cross_entropy(
        self,
        features: NDArray[np.floating],
        weight: NDArray[np.floating],
        labels: NDArray[np.int64],
        step: int,
        weights: NDArray[np.float64] | None = None,
        ignored: NDArray[np.bool_] | None = None,
        pull: float = 0.0,
        gradient: bool = True,
    ) -> tuple[
        float,
        NDArray[np.float64],
        NDArray[np.float64],
        float,
        tuple[NDArray[np.floating], NDArray[np.floating]] | None,
    ]: ...

def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]: ...
def cosine_scores(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]: ...
def roc(scores: NDArray[np.float32], same: NDArray[np.bool_], fars: list[float]) -> str: ...
def roc_points(
    scores: NDArray[np.float32], same: NDArray[np.bool_], most: int
) -> NDArray[np.float64]: ...
def cross_validated(
    scores: NDArray[np.float32], same: NDArray[np.bool_], folds: NDArray[np.int64]
) -> str: ...
def cross_validated_embeddings(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    same: NDArray[np.bool_],
    folds: NDArray[np.int64],
    centred: bool,
) -> str: ...
def ranked(
    embeddings: NDArray[np.float32], classes: NDArray[np.int64], recall_at: list[int]
) -> str: ...
def ranked_in(
    queries: NDArray[np.float32],
    query_classes: NDArray[np.int64],
    gallery: NDArray[np.float32],
    gallery_classes: NDArray[np.int64],
    recall_at: list[int],
) -> str: ...
def identification(
    probes: NDArray[np.float32],
    probe_classes: NDArray[np.int64],
    gallery: NDArray[np.float32],
    gallery_classes: NDArray[np.int64],
    ranks: int,
    fpirs: list[float],
) -> str: ...
def clusters(
    embeddings: NDArray[np.float32], k: int, seed: int, iterations: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], float, int, bool]: ...
def nmi(first: NDArray[np.int64], second: NDArray[np.int64]) -> float: ...
def ami(first: NDArray[np.int64], second: NDArray[np.int64]) -> float: ...
def nearest(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    k: int,
    leave_out: NDArray[np.uint32] | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]: ...
