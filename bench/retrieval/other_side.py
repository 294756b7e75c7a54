"""The other sides of the benchmark: one search in a process of its own, told on one line of JSON.

    python other_side.py MODE FILE PROBES GALLERY COLUMNS K

MODE is numpy, numpy-blocked, torch or torch-blocked. FILE holds the probes, then the gallery, as f32.
"""

import json
import os
import sys
import time
from collections.abc import Callable

# Gallery rows of a block: see README.md for other sizes.
NUMPY_BLOCK = int(os.environ.get("NUMPY_BLOCK", 65_536))
TORCH_BLOCK = int(os.environ.get("TORCH_BLOCK", 65_536))


def status(key: str) -> int | None:
    """A line of the process's memory in bytes, where the system tells."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))
    except (OSError, StopIteration):
        return None


def numpy_search(block: int | None) -> Callable:
    """Matrix product and argpartition. The indices of all scores together would be another 8 bytes
    a score, so argpartition goes row by row, which is as fast."""
    import numpy as np

    def best(scores, k):
        indices = np.empty((len(scores), k), np.int64)
        for row, to in zip(scores, indices, strict=True):
            to[:] = np.argpartition(row, len(row) - k)[-k:]
        return indices, np.take_along_axis(scores, indices, 1)

    def search(probes, gallery, k):
        if block is None:
            indices, scores = best(probes @ gallery.T, k)
        else:
            product = np.empty((len(probes), block), np.float32)
            indices = np.empty((len(probes), 0), np.int64)
            scores = np.empty((len(probes), 0), np.float32)
            for at in range(0, len(gallery), block):
                rows = gallery[at : at + block]
                found = np.matmul(probes, rows.T, out=product[:, : len(rows)])
                new, of_new = best(found, min(k, len(rows)))
                indices = np.concatenate([indices, new + at], 1)
                scores = np.concatenate([scores, of_new], 1)
                keep = np.argsort(-scores, 1, kind="stable")[:, :k]
                indices = np.take_along_axis(indices, keep, 1)
                scores = np.take_along_axis(scores, keep, 1)
        order = np.argsort(-scores, 1, kind="stable")
        return np.take_along_axis(indices, order, 1), np.take_along_axis(scores, order, 1)

    return search


def torch_search(block: int | None) -> Callable:
    """Matrix product and topk."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def search(probes, gallery, k):
        probes, gallery = torch.from_numpy(probes), torch.from_numpy(gallery)
        with torch.inference_mode():
            if block is None:
                scores, indices = torch.mm(probes, gallery.T).topk(k)
            else:
                indices = torch.empty(len(probes), 0, dtype=torch.int64)
                scores = torch.empty(len(probes), 0)
                for at in range(0, len(gallery), block):
                    rows = gallery[at : at + block]
                    of_new, new = torch.mm(probes, rows.T).topk(min(k, len(rows)))
                    indices = torch.cat([indices, new + at], 1)
                    scores, keep = torch.cat([scores, of_new], 1).topk(
                        min(k, scores.shape[1] + new.shape[1])
                    )
                    indices = indices.gather(1, keep)
        return indices.numpy(), scores.numpy()

    return search


def main() -> None:
    mode, file, *sizes = sys.argv[1:]
    probes, gallery, columns, k = map(int, sizes)
    library, _, blocked = mode.partition("-")
    if library == "numpy":
        search = numpy_search(NUMPY_BLOCK if blocked else None)
    else:
        search = torch_search(TORCH_BLOCK if blocked else None)
    import numpy as np

    before = status("VmRSS:")
    with open(file, "rb") as values:
        arrays = [
            np.fromfile(values, "<f4", rows * columns).reshape(rows, columns)
            for rows in (probes, gallery)
        ]
    # Threads are started and code is paged in by a search in a tenth of the gallery.
    search(arrays[0], arrays[1][: gallery // 10], k)
    start, processor = time.perf_counter(), time.process_time()
    indices, scores = search(*arrays, k)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    peak = status("VmHWM:")
    memory = None if peak is None else max(0, peak - before - sum(a.nbytes for a in arrays))
    answer = {
        "seconds": seconds,
        "processor": processor,
        "memory": memory,
        "indices": indices.ravel().tolist(),
        "sum": float(scores.sum(dtype=np.float64)),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
