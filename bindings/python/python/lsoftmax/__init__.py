"""Large-margin softmax: training and comparison of embedding models, losses for PyTorch, metrics.

- :func:`train` and :func:`compare` train on folders of images or known data sets, like the command.
- :class:`Model` embeds, compares and classifies images with a trained model.
- :mod:`lsoftmax.torch` provides ``MarginHead``, a ``torch.nn.Module`` that replaces the last linear layer
  and the cross-entropy. Only this module needs PyTorch.
- :mod:`lsoftmax.metrics` provides verification, identification, retrieval, clustering and exact nearest
  neighbours on NumPy arrays.

The computations run in Rust, on one thread per core. The environment variable ``RAYON_NUM_THREADS`` sets
another number of threads.
"""

from lsoftmax import metrics
from lsoftmax._lsoftmax import __version__
from lsoftmax.model import Folder, Model, Predictions, Verdict
from lsoftmax.training import Comparison, Figure, Outcome, Progress, compare, train

__all__ = [
    "Comparison", "Figure", "Folder", "Model", "Outcome", "Predictions", "Progress", "Verdict", "__version__",
    "compare", "metrics", "train",
]
