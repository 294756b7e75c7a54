"""Generates retrieval.json: retrieval metrics of pytorch-metric-learning, and Recall@K in numpy.

Run it beside this file with

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 torch==2.15.0 \
        pytorch-metric-learning==2.9.0 faiss-cpu==1.15.1 scikit-learn==1.9.1
    venv/bin/python retrieval.py

The library's AccuracyCalculator gives precision_at_1, r_precision, mean_average_precision_at_r and
(with k=None, the whole ranking) mean_average_precision. Its neighbours come from `Ranking` below: by
descending inner product in f64, ties by ascending index. Recall@K, which the library does not offer,
is computed here over the same queries as in the library: those whose class has a reference.

Cases: clusters near the unit sphere (sizes 1 to 40, so that some classes have no reference), and vectors
of -1, 0 and 1, whose inner products are often equal; each leave-one-out and with a gallery. All inner
products are exact, so that rankings can be compared.
"""

import json
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

RECALL_AT = [1, 2, 5, 10, 1000]
NAMES = {
    "precision_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "map_at_r": "mean_average_precision_at_r",
    "mean_average_precision": "mean_average_precision",
}


def ranking(queries, gallery, leave_one_out):
    """Gallery rows of each query, nearest first, without the query itself."""
    scores = queries.astype(np.float64) @ gallery.astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")
    # Exact in f32 too, in any order of summation: multiples of 2^-18 below 32.
    assert np.all(scores * 2**18 % 1 == 0) and np.all(np.abs(scores) < 32)
    if leave_one_out:
        order = order[order != np.arange(len(order))[:, None]].reshape(len(order), -1)
    return order


class Ranking:
    """Neighbours for AccuracyCalculator."""

    def __call__(self, query, k, reference, ref_includes_query=False):
        order = ranking(query.numpy(), reference.numpy(), ref_includes_query)[:, :k]
        return torch.zeros(order.shape), torch.from_numpy(np.ascontiguousarray(order))


def recall(queries, query_labels, gallery, gallery_labels, leave_one_out):
    same = gallery_labels[ranking(queries, gallery, leave_one_out)] == query_labels[:, None]
    kept = same[same.any(axis=1)]
    return [[k, float(kept[:, :k].any(axis=1).mean())] for k in RECALL_AT], len(kept)


def case(name, queries, query_labels, gallery=None, gallery_labels=None):
    alone = gallery is None
    if alone:
        gallery, gallery_labels = queries, query_labels
    calculator = AccuracyCalculator(
        include=tuple(NAMES.values()), k=None, device=torch.device("cpu"), knn_func=Ranking()
    )
    found = calculator.get_accuracy(queries, query_labels, gallery, gallery_labels, alone)
    recall_at, kept = recall(queries, query_labels, gallery, gallery_labels, alone)
    expected = {ours: found[theirs] for ours, theirs in NAMES.items()}
    expected |= {"queries": kept, "without_reference": len(queries) - kept, "recall_at": recall_at}
    arrays = {"queries": queries, "query_labels": query_labels}
    if not alone:
        arrays |= {"gallery": gallery, "gallery_labels": gallery_labels}
    columns = queries.shape[1]
    arrays = {key: array.ravel().tolist() for key, array in arrays.items()}
    return {"name": name, "columns": columns, **arrays, "expected": expected}


def clusters(rng, sizes, centres):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(labels)
    values = centres[labels] + rng.normal(size=(len(labels), centres.shape[1]))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    # Multiples of 2^-9: their products are exact.
    return ((values * 512).round() / 512).astype(np.float32), labels * 3


def signs(rng, rows):
    values = rng.integers(-1, 2, size=(rows, 5)).astype(np.float32)
    return values, rng.integers(0, 25, size=rows)


def main():
    rng = np.random.default_rng(20)
    centres = rng.normal(size=(12, 8)) * 0.7
    sizes = [1, 1, 2, 3, 5, 8, 13, 17, 20, 25, 40]
    sphere = clusters(rng, sizes, centres)
    probes = clusters(rng, [3, 0, 4, 5, 0, 6, 7, 0, 8, 9, 0, 5], centres)
    ties, others = signs(rng, 120), signs(rng, 40)
    cases = [
        case("clusters, leave-one-out", *sphere),
        case("clusters, gallery", *probes, *sphere),
        case("ties, leave-one-out", *ties),
        case("ties, gallery", *others, *ties),
    ]
    # The gallery lacks a class.
    assert cases[1]["expected"]["without_reference"] > 0
    path = Path(__file__).with_name("retrieval.json")
    path.write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
    for made in cases:
        print(made["name"], made["expected"])


if __name__ == "__main__":
    main()
