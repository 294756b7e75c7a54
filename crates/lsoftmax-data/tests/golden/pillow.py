"""Writes pillow.json: changes of the small image of src/augmentation/operations.rs by Pillow. Run with pillow and
numpy: python pillow.py"""

import json
import pathlib

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

planes = np.array([i * i * 7 % 251 for i in range(3 * 24 * 22)], dtype=np.uint8).reshape(3, 24, 22)
image = Image.fromarray(planes.transpose(1, 2, 0))


def values(changed):
    return np.asarray(changed).transpose(2, 0, 1).flatten().tolist()


enhance = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}
cases = [
    (name, factor, values(change(image).enhance(factor)))
    for name, change in enhance.items()
    for factor in [0.1, 0.7, 1.9]
]
# Pillow equalises only images of more than 255 pixels.
cases += [("auto-contrast", 0.0, values(ImageOps.autocontrast(image))),
          ("equalize", 0.0, values(ImageOps.equalize(image)))]
cases += [("brightness", 0.0, values(ImageEnhance.Brightness(image).enhance(0.0)))]
golden = {"bytes": planes.flatten().tolist(), "pillow": cases}
pathlib.Path(__file__).with_name("pillow.json").write_text(json.dumps(golden) + "\n")
