"""Generates face_alignment/*.npy: faces aligned by OpenCV and scikit-image, as a reference.

Run it with

    python3 -m venv venv && venv/bin/pip install numpy opencv-python-headless "scikit-image>=0.26"
    venv/bin/python face_alignment.py

(the committed files: numpy 2.4.6, OpenCV 5.0.0, scikit-image 0.26.0)

landmarks.npy   [case, point, (x, y)]
matrices.npy    [case, 2, 3]: the similarity to the template by scikit-image (Umeyama's method)
face_N.npy      [height, width, channel] of case N

Images are integer formulas of the row, the column and the channel, which the test repeats. Smooth
images use OpenCV's warpAffine with its defaults, which may round positions to 1/32 of a pixel;
noise uses scikit-image, which does not round. If the face shrinks below one half, it is warped to
a grid with n x n points per pixel and reduced by area averaging, where n is the smallest integer
not below 1 / scale.
"""

import math
import pathlib

import cv2
import numpy as np
import skimage.transform

OUT = pathlib.Path(__file__).parent / "face_alignment"
SPHERE = np.array([(30.2946, 51.6963), (65.5318, 51.5014), (48.0252, 71.7366),
                   (33.5493, 92.3655), (62.7299, 92.2041)])
ARC = SPHERE + (8, 0)
SIZES = {"sphere": (SPHERE, 112, 96), "arc": (ARC, 112, 112)}

# Image, its shape, template, landmarks.
CASES = [
    ("smooth", (250, 250, 3), "sphere",
     [(104.0, 113.5), (148.3, 110.2), (127.9, 138.8), (109.4, 163.1), (146.2, 160.6)]),
    # Tilted, and partly outside the image.
    ("smooth", (200, 180, 1), "arc",
     [(20.5, 60.0), (48.0, 30.3), (53.1, 62.7), (55.0, 98.4), (80.9, 72.2)]),
    ("noise", (90, 120, 3), "arc",
     [(45.2, 30.1), (70.8, 33.9), (57.0, 46.6), (44.4, 60.2), (65.1, 62.8)]),
    ("noise", (250, 250, 1), "sphere",
     [(101.0, 114.5), (151.3, 109.2), (130.9, 141.8), (111.4, 168.1), (150.2, 163.6)]),
    # 3.6 times as large as the template.
    ("smooth", (500, 600, 1), "arc",
     [(210.0, 180.0), (338.0, 171.0), (281.0, 250.0), (228.0, 330.0), (331.0, 322.0)]),
    ("noise", (500, 600, 3), "sphere",
     [(210.0, 180.0), (338.0, 171.0), (281.0, 250.0), (228.0, 330.0), (331.0, 322.0)]),
]


def image(kind, shape):
    y, x, c = np.indices(shape)
    if kind == "smooth":
        folded = (3 * x + 2 * y + x * y // 64 + 85 * c) % 510
        return np.minimum(folded, 510 - folded).clip(0, 255).astype(np.uint8)
    return ((x * 73 + y * 151 + c * 31 + 7) ** 2 % 65521 % 256).astype(np.uint8)


def warp(kind, source, matrix, height, width):
    """Uses float64 for noise, and OpenCV's own arithmetic on bytes otherwise."""
    if kind == "smooth":
        face = cv2.warpAffine(source, matrix, (width, height))
        return face.reshape(height, width, -1)
    inverse = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))
    return skimage.transform.warp(
        source, skimage.transform.AffineTransform(matrix=inverse), output_shape=(height, width),
        order=1, mode="constant", cval=0, clip=False, preserve_range=True)


def aligned(kind, source, matrix, height, width):
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    if scale >= 0.5:
        return warp(kind, source, matrix, height, width)
    n = math.ceil(1 / scale)
    # Position u of the face is position n (u + 1/2) - 1/2 of the fine grid.
    fine = n * matrix
    fine[:, 2] += (n - 1) / 2
    face = warp(kind, source, fine, n * height, n * width)
    face = cv2.resize(face.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return face.reshape(height, width, -1)


def main():
    OUT.mkdir(exist_ok=True)
    matrices = []
    for number, (kind, shape, template, landmarks) in enumerate(CASES):
        points, height, width = SIZES[template]
        similarity = skimage.transform.SimilarityTransform.from_estimate(
            np.array(landmarks), points)
        matrix = similarity.params[:2].copy()
        matrices.append(matrix)
        face = aligned(kind, image(kind, shape), matrix, height, width)
        face = np.rint(face).astype(np.uint8)
        np.save(OUT / f"face_{number}.npy", face)
        print(number, kind, face.shape, "scale", round(float(similarity.scale), 3),
              "black", round(float((face == 0).mean()), 3))
    np.save(OUT / "landmarks.npy", np.array([case[3] for case in CASES]))
    np.save(OUT / "matrices.npy", np.ascontiguousarray(matrices))


main()
