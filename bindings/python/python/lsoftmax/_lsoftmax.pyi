"""The native module, which the Python modules wrap."""

import os
import pathlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__version__: str
DEFAULT_LOSSES: str

_Path: TypeAlias = str | os.PathLike[str]
_Images: TypeAlias = list[str | NDArray[np.uint8]]
_Page: TypeAlias = tuple[str, list[tuple[str, str]]]
_Run: TypeAlias = tuple[pathlib.Path | None, str, str, str, Model | None, _Page]
_Answer: TypeAlias = tuple[
    list[_Run], _Page, list[str], list[str], list[str], list[str]
]
_Callback: TypeAlias = Callable[[int, int, str, int, int, float, str | None, str | None], object]

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

class Model:
    @staticmethod
    def load(path: _Path, landmarks: _Path | None = None, device: str = "cpu") -> Model: ...
    def info(self) -> tuple[str, str, int, str]: ...
    def embed(self, images: _Images) -> NDArray[np.float32]: ...
    def embed_folder(
        self, place: _Path
    ) -> tuple[
        NDArray[np.float32], list[str], list[str], list[tuple[pathlib.Path, str]], list[str]
    ]: ...
    def predict(
        self, images: _Images
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], str]: ...
    def verify(
        self,
        left: str | NDArray[np.uint8],
        right: str | NDArray[np.uint8],
        threshold: float | None = None,
        far: float | None = None,
    ) -> tuple[float, float, tuple[float, float] | None]: ...

def setting_keys() -> list[str]: ...
def train_run(
    settings: str,
    command: str,
    config: _Path | None = None,
    out: _Path | None = None,
    resume: _Path | None = None,
    device: str = "cpu",
    tensorboard: bool = False,
    callback: _Callback | None = None,
) -> _Answer: ...
def compare_losses(
    settings: str,
    command: str,
    losses: list[str],
    seeds: list[int],
    parts: str,
    config: _Path | None = None,
    out: _Path | None = None,
    device: str = "cpu",
    tensorboard: bool = False,
    callback: _Callback | None = None,
) -> tuple[_Answer, int]: ...
def load_run(path: _Path, device: str = "cpu") -> tuple[_Run, pathlib.Path | None]: ...
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
