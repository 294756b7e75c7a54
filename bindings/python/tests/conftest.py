import numpy as np
import pytest


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
