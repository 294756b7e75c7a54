"""Large-margin softmax: trains, compares and applies embeddings; losses for PyTorch; metrics. Computed in Rust.

- :func:`train` and :func:`compare` train on folders of images or known data sets, as the command does.
- :class:`Model` embeds, compares and classifies images with a trained model.
- :mod:`lsoftmax.torch` has ``MarginHead``, a ``torch.nn.Module`` that takes the place of the last linear
  layer and the cross-entropy. It needs PyTorch; nothing else here does.
- :mod:`lsoftmax.metrics` has verification, identification, retrieval, clustering and exact nearest
  neighbours on numpy arrays.

The number of threads is that of the machine, or of the environment variable ``RAYON_NUM_THREADS``.
"""

from lsoftmax import metrics
from lsoftmax._lsoftmax import __version__
from lsoftmax.model import Folder, Model, Predictions, Verdict
from lsoftmax.training import Comparison, Figure, Outcome, Progress, compare, train

__all__ = [
    "Comparison", "Figure", "Folder", "Model", "Outcome", "Predictions", "Progress", "Verdict", "__version__",
    "compare", "metrics", "train",
]
