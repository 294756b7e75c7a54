import json
import os
import subprocess

import lsoftmax
import numpy as np
import pytest

# A training of one or two seconds.
SMALL = {
    "data": "glyphs", "network": "compact", "train_samples": 600, "test_samples": 200,
    "iterations": 40, "batch": 32, "evaluations": 2,
}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def clustered(rng):
    """Embeddings of length 1 in clusters, `[row, column]`, and their labels."""
    labels = np.arange(240) % 12
    centres = rng.standard_normal((12, 16))
    rows = centres[labels] + 0.9 * rng.standard_normal((240, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), labels


@pytest.fixture(scope="session")
def command():
    """Runs the command and returns its --json output."""
    program = os.environ.get("LSOFTMAX_COMMAND")
    if not program:
        pytest.skip("LSOFTMAX_COMMAND does not name the command")

    def run(*arguments):
        words = [program, *map(str, arguments), "--json", "--quiet"]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def outcome(tmp_path_factory):
    """A run on glyphs, in a folder."""
    return lsoftmax.train(**SMALL, out=tmp_path_factory.mktemp("runs") / "glyphs")


@pytest.fixture(scope="session")
def model(outcome):
    return lsoftmax.Model.load(outcome.path)


def picture(rng, shape, size=(28, 28)):
    """A grey or coloured uint8 image: a bright shape on noise."""
    height, width = size
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1) - 0.5
    inside = {
        "disc": x**2 + y**2 < 0.1,
        "ring": abs(np.hypot(x, y) - 0.3) < 0.07,
        "bar": abs(x) < 0.1,
        "cross": (abs(x) < 0.07) | (abs(y) < 0.07),
        "square": (abs(x) < 0.3) & (abs(y) < 0.3),
        "stripes": np.sin(25 * y) > 0,
    }[shape]
    pixels = 60 * rng.random((height, width)) + 150 * inside
    return pixels.astype(np.uint8)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A folder with one folder of grey images per class."""
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(3)
    root = tmp_path_factory.mktemp("shapes")
    for shape in ("disc", "ring", "bar", "cross", "square", "stripes"):
        (root / shape).mkdir()
        for number in range(20):
            Image.fromarray(picture(rng, shape)).save(root / shape / f"{number:02}.png")
    return root
