"""Trained models applied to images."""

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
"""One image: the path of a file, a Pillow image, or a uint8 array ``[height, width]`` (grey),
``[height, width, 1]`` or ``[height, width, 3]`` (red, green, blue)."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether two images show the same class. The result of :meth:`Model.verify`."""

    same: bool
    """Whether the cosine is at least the threshold."""
    cosine: float
    threshold: float
    false_accept_rate: float | None
    """Share of different pairs that are accepted at the threshold, measured after training; ``None`` if the
    threshold was given."""
    true_accept_rate: float | None
    """Share of same pairs that are accepted at the threshold."""


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """The classes of images. The result of :meth:`Model.predict`."""

    classes: NDArray[np.int64]
    """``[image]``: the index of the class with the largest score."""
    names: list[str]
    """``[image]``: the name of that class."""
    scores: NDArray[np.float32]
    """``[image, class]``: the scores."""
    kind: str
    """``probabilities``, or ``cosines`` with the class weights for a loss that does not train logits."""


@dataclasses.dataclass(frozen=True, eq=False)
class Folder:
    """The embeddings of a folder or a list of images. The result of :meth:`Model.embed_folder`."""

    embeddings: NDArray[np.float32]
    """``[image, column]``, rows of length 1."""
    paths: list[str]
    """``[image]``: the file of each row."""
    labels: list[str]
    """``[image]``: the class of each image, from its folder or the list."""
    left_out: list[tuple[pathlib.Path, str]]
    """Images that cannot be read, with the reasons."""


class Model:
    """A trained model: embeds, compares and classifies images.

    Images are resized and converted to grey or colour as in training. The results equal those of the
    command. All methods take one image (see :data:`Image`) or several: a list of images, or an array
    ``[image, height, width]`` or ``[image, height, width, channel]``. A 3-dimensional array whose last
    dimension is 3 is one coloured image, not a batch of grey images that are 3 pixels wide.
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
        """Loads a model.

        :param path: a run folder, or a model file such as ``checkpoints/best.safetensors``.
        :param landmarks: CSV file with five landmarks per image, for a model trained on aligned faces.
        :param device: ``cpu``, or a device for which the package was built.
        :raises OSError: if a file cannot be read.
        :raises ValueError: if a file is damaged or is not a model.
        """
        return cls(_lsoftmax.Model.load(path, landmarks, device))

    @property
    def info(self) -> dict:
        """The description of the model, as stored in the model file: everything that is not a tensor."""
        return self._info

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, ``[class]``."""
        return self._info["class_names"]

    @property
    def image_size(self) -> tuple[int, int, int]:
        """Channels (1 or 3), height and width of the network's input."""
        channels, height, width = self._info["image"]
        return channels, height, width

    @property
    def embedding_size(self) -> int:
        """Length of an embedding."""
        return self._embedding_size

    @property
    def loss(self) -> str:
        """The loss that the model was trained with, such as ``L-Softmax m = 4``."""
        return self._loss

    @property
    def threshold(self) -> float | None:
        """The cosine at or above which two images are judged to show the same class; ``None`` if the model
        was not tested on enough pairs."""
        decision = self._info.get("decision")
        return None if decision is None else float(np.float32(decision["best"]["threshold"]))

    @property
    def digest(self) -> str:
        """SHA-256 of the contents of the model file."""
        return self._digest

    def __repr__(self) -> str:
        channels, height, width = self.image_size
        return (
            f"<lsoftmax.Model {self.loss}: {len(self.class_names)} classes, images "
            f"{channels}x{height}x{width}, embeddings of {self.embedding_size}>"
        )

    def embed(self, images: Image | Iterable[Image]) -> NDArray[np.float32]:
        """Computes the embeddings of images: float32 ``[image, column]``, with rows of length 1.

        A single image gives one row. The inner product of two rows is the cosine of the two images.

        :raises OSError: if a file does not exist or cannot be read.
        :raises TypeError: if an array is not uint8.
        :raises ValueError: if an array has another shape, or a file is not an image.
        """
        found = _inputs(images)
        if not found:
            return np.empty((0, self.embedding_size), np.float32)
        return self._native.embed(found)

    def embed_folder(self, place: str | os.PathLike[str]) -> Folder:
        """Computes the embeddings of all images in a folder and its subfolders, or in a list (``.csv``,
        ``.parquet``). Images that cannot be read are skipped and listed in the result."""
        rows, paths, labels, skipped, remarks = self._native.embed_folder(place)
        for remark in remarks:
            warnings.warn(remark, stacklevel=2)
        return Folder(rows, paths, labels, [(pathlib.Path(path), why) for path, why in skipped])

    def verify(
        self, left: Image, right: Image, *, threshold: float | None = None, far: float | None = None
    ) -> Verdict:
        """Decides whether two images show the same class.

        :param threshold: the smallest cosine to accept. Default: the model's own threshold.
        :param far: use the lowest threshold with at most this false accept rate instead.
        :raises ValueError: if the model has no threshold, or if its pairs are too few to measure the rate.
        """
        left, right = _single(left, "left"), _single(right, "right")
        cosine, threshold, rates = self._native.verify(left, right, threshold, far)
        far, tar = rates or (None, None)
        return Verdict(cosine >= threshold, cosine, threshold, far, tar)

    def predict(self, images: Image | Iterable[Image]) -> Predictions:
        """Classifies images, without margin. Takes the same images as :meth:`embed`."""
        found = _inputs(images)
        names = self.class_names
        if not found:
            scores = np.empty((0, len(names)), np.float32)
            return Predictions(np.empty(0, np.int64), [], scores, "probabilities")
        classes, scores, kind = self._native.predict(found)
        return Predictions(classes, [names[index] for index in classes], scores, kind)


def _inputs(images: Image | Iterable[Image]) -> list[str | NDArray[np.uint8]]:
    """Converts images to paths and arrays ``[image, height, width, channel]``."""
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
            "images must be paths, Pillow images or uint8 arrays, found "
            f"{type(images).__name__}"
        ) from None
    return [_single(image, f"image {index}") for index, image in enumerate(items)]


def _single(image: Image, name: str) -> str | NDArray[np.uint8]:
    if isinstance(image, (bytes, list, tuple)) or not (
        isinstance(image, (str, os.PathLike, np.ndarray)) or _is_pillow(image)
    ):
        kind = type(image).__name__
        raise TypeError(f"{name} must be a path, a Pillow image or an array, found {kind}")
    (found,) = _inputs(image) or [None]
    if found is None or (not isinstance(found, str) and len(found) != 1):
        count = 0 if found is None else len(found)
        raise ValueError(f"{name} must be one image, found {count}")
    return found


def _batch(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Converts an array to ``[image, height, width, channel]`` in C order."""
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
    # If Pillow was never imported, the image cannot be a Pillow image.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _pixels(image: "PIL.Image.Image") -> NDArray[np.uint8]:  # noqa: F821
    """Decodes a Pillow image as the command decodes a file: upright, grey or coloured, on white."""
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
