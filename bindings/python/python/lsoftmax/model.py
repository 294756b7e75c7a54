"""A trained model on images."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
import warnings
from collections.abc import Iterable
from typing import Union

import numpy as np
from numpy.typing import NDArray

from lsoftmax import _lsoftmax

__all__ = ["Folder", "Image", "Model", "Predictions", "Verdict"]

Image = Union[str, "os.PathLike[str]", NDArray[np.uint8], "PIL.Image.Image"]  # noqa: F821
"""One image: the path of a file, an image of Pillow, or an array uint8 ``[height, width]`` (grey),
``[height, width, 1]`` or ``[height, width, 3]`` (red, green, blue)."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Do two images show one class? The result of :meth:`Model.verify`."""

    same: bool
    """Whether the cosine is at least the threshold."""
    cosine: float
    threshold: float
    false_accept_rate: float | None
    """Share of different pairs that the threshold takes for the same, as measured after the training;
    ``None`` for a threshold that was given."""
    true_accept_rate: float | None
    """Share of same pairs that it recognises."""


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """The classes of images. The result of :meth:`Model.predict`."""

    classes: NDArray[np.int64]
    """``[image]``: the index of the class with the largest score."""
    names: list[str]
    """``[image]``: its name."""
    scores: NDArray[np.float32]
    """``[image, class]``"""
    kind: str
    """``probabilities``, or ``cosines`` with the class weights for a loss that trains no logits."""


@dataclasses.dataclass(frozen=True, eq=False)
class Folder:
    """The embeddings of a folder or a list of images. The result of :meth:`Model.embed_folder`."""

    embeddings: NDArray[np.float32]
    """``[image, column]``, rows of length 1."""
    paths: list[str]
    """``[image]``: the file of each row."""
    labels: list[str]
    """``[image]``: its class, by its folder or by the list."""
    left_out: list[tuple[pathlib.Path, str]]
    """Images that cannot be read, and why."""


class Model:
    """A trained model: embeds, compares and classifies images.

    Images are resized, and made grey or coloured, as they were for the training; the numbers are those of
    the command. All methods take one image or several: see :data:`Image`; several are a list of images,
    or an array ``[image, height, width]`` or ``[image, height, width, channel]``. An array whose last
    dimension is 3 is taken for one coloured image rather than for grey ones that are 3 pixels wide.
    """

    def __init__(self, native: _lsoftmax.Model) -> None:
        self._native = native
        text, self._loss, self._embedding_size, self._digest = native.info()
        self._info = json.loads(text)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        landmarks: str | os.PathLike[str] | None = None,
        device: str = "cpu",
    ) -> Model:
        """Opens a model.

        :param path: a run's folder, or a model file such as ``checkpoints/best.safetensors``.
        :param landmarks: CSV file with five landmarks per image, for a model of aligned faces.
        :raises OSError: a file that cannot be read.
        :raises ValueError: a file that is damaged or is no model.
        """
        return cls(_lsoftmax.Model.load(path, landmarks, device))

    @property
    def info(self) -> dict:
        """All of the model that is not a tensor, as the model file has it."""
        return self._info

    @property
    def class_names(self) -> list[str]:
        """``[class]``"""
        return self._info["class_names"]

    @property
    def image_size(self) -> tuple[int, int, int]:
        """Channels (1 or 3), height and width that the network sees."""
        channels, height, width = self._info["image"]
        return channels, height, width

    @property
    def embedding_size(self) -> int:
        """Length of an embedding."""
        return self._embedding_size

    @property
    def loss(self) -> str:
        """The loss it was trained with, such as ``L-Softmax m = 4``."""
        return self._loss

    @property
    def threshold(self) -> float | None:
        """The cosine from which on two images count as one class; ``None`` for a model that was not tested
        on enough pairs."""
        decision = self._info.get("decision")
        return None if decision is None else float(np.float32(decision["best"]["threshold"]))

    @property
    def digest(self) -> str:
        """SHA-256 of the model file's content."""
        return self._digest

    def __repr__(self) -> str:
        channels, height, width = self.image_size
        return (
            f"<lsoftmax.Model {self.loss}: {len(self.class_names)} classes, images "
            f"{channels}x{height}x{width}, embeddings of {self.embedding_size}>"
        )

    def embed(self, images: Image | Iterable[Image]) -> NDArray[np.float32]:
        """The embeddings of images: float32 ``[image, column]``, rows of length 1; one image is one row.

        The inner product of two rows is their cosine.

        :raises OSError: a file that does not exist or cannot be read.
        :raises TypeError: an array of another dtype than uint8.
        :raises ValueError: an array of another shape, or a file that is no image.
        """
        found = _inputs(images)
        if not found:
            return np.empty((0, self.embedding_size), np.float32)
        return self._native.embed(found)

    def embed_folder(self, place: str | os.PathLike[str]) -> Folder:
        """The embeddings of all images of a folder with its subfolders, or of a list (``.csv``,
        ``.parquet``). Images that cannot be read are left out and listed."""
        rows, paths, labels, skipped, remarks = self._native.embed_folder(place)
        for remark in remarks:
            warnings.warn(remark, stacklevel=2)
        return Folder(rows, paths, labels, [(pathlib.Path(path), why) for path, why in skipped])

    def verify(
        self, left: Image, right: Image, *, threshold: float | None = None, far: float | None = None
    ) -> Verdict:
        """Whether two images show one class.

        :param threshold: the cosine from which on they do; the model's own if left out.
        :param far: chooses the most lenient threshold with at most this false accept rate.
        :raises ValueError: a model without a threshold, or a rate that cannot be measured on its pairs.
        """
        left, right = _single(left, "left"), _single(right, "right")
        cosine, threshold, rates = self._native.verify(left, right, threshold, far)
        far, tar = rates or (None, None)
        return Verdict(cosine >= threshold, cosine, threshold, far, tar)

    def predict(self, images: Image | Iterable[Image]) -> Predictions:
        """The classes of images, as for :meth:`embed`, without margin."""
        found = _inputs(images)
        names = self.class_names
        if not found:
            scores = np.empty((0, len(names)), np.float32)
            return Predictions(np.empty(0, np.int64), [], scores, "probabilities")
        classes, scores, kind = self._native.predict(found)
        return Predictions(classes, [names[index] for index in classes], scores, kind)


def _inputs(images: Image | Iterable[Image]) -> list[str | NDArray[np.uint8]]:
    """Paths, and arrays ``[image, height, width, channel]``."""
    if isinstance(images, (str, os.PathLike)):
        return [os.fspath(images)]
    if isinstance(images, np.ndarray):
        batch = _batch(images)
        return [batch] if len(batch) else []
    if _is_pillow(images):
        return [_batch(_pixels(images))]
    try:
        items = list(images)
    except TypeError:
        raise TypeError(
            "images must be paths, images of Pillow or arrays of uint8, found "
            f"{type(images).__name__}"
        ) from None
    return [_single(image, f"image {index}") for index, image in enumerate(items)]


def _single(image: Image, name: str) -> str | NDArray[np.uint8]:
    if isinstance(image, (bytes, list, tuple)) or not (
        isinstance(image, (str, os.PathLike, np.ndarray)) or _is_pillow(image)
    ):
        kind = type(image).__name__
        raise TypeError(f"{name} must be a path, an image of Pillow or an array, found {kind}")
    (found,) = _inputs(image) or [None]
    if found is None or (not isinstance(found, str) and len(found) != 1):
        count = 0 if found is None else len(found)
        raise ValueError(f"{name} must be one image, found {count}")
    return found


def _batch(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An array as ``[image, height, width, channel]`` in C order."""
    if array.dtype != np.uint8:
        raise TypeError(
            f"an array of images must be of uint8, from 0 to 255, found {array.dtype}"
        )
    shape = array.shape
    if len(shape) == 2:
        array = array[None, :, :, None]
    elif len(shape) == 3:
        array = array[None] if shape[2] in (1, 3) else array[..., None]
    if array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape[1:]:
        raise ValueError(
            "an array of images must have the shape [height, width], [height, width, 1 or 3], "
            f"[image, height, width] or [image, height, width, 1 or 3], found {list(shape)}"
        )
    return np.ascontiguousarray(array)


def _is_pillow(image: object) -> bool:
    # Whoever has an image of Pillow has imported it.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _pixels(image: "PIL.Image.Image") -> NDArray[np.uint8]:  # noqa: F821
    """An image of Pillow upright, grey or coloured, on white: what the command makes of its file."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        wide = np.asarray(image).astype(np.uint32)
        return ((wide + 128) // 257).astype(np.uint8)
    if image.mode == "1":
        image = image.convert("L")
    is_transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if is_transparent:
        grey = image.mode in ("L", "LA", "La")
        pixels = np.asarray(image.convert("LA" if grey else "RGBA")).astype(np.uint32)
        alpha = pixels[..., -1:]
        blended = (pixels[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255
        return blended.astype(np.uint8)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return np.asarray(image)
