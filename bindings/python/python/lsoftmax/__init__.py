"""Large-margin softmax: margin losses for PyTorch and metrics for embeddings, computed in Rust.

- :mod:`lsoftmax.torch` has ``MarginHead``, a ``torch.nn.Module`` that takes the place of the last linear
  layer and the cross-entropy. It needs PyTorch; nothing else here does.
- :mod:`lsoftmax.metrics` has verification, identification, retrieval, clustering and exact nearest
  neighbours on numpy arrays.
"""

from lsoftmax import metrics
from lsoftmax._lsoftmax import __version__

__all__ = ["__version__", "metrics"]
