"""Generates golden.json: arrays with results of scikit-learn and naive implementations.

Run it with

    python3 -m venv venv
    venv/bin/pip install numpy scipy scikit-learn
    venv/bin/python make.py

roc       scores of pairs. AUC and the curve are from scikit-learn; TAR at a FAR is the best TAR of
          its points within the FAR; the EER is the root of FAR = FRR on its curve; the best
          threshold is found by trying them all.
k_fold    accuracy by cross-validation, from scores, and from embeddings with and without
          subtracting the mean of the training folds, in plain loops.
identification  every probe against every image of the gallery, sorted.
mutual_information  NMI and AMI from scikit-learn.
k_means   k-means (Lloyd) from given centroids, from scikit-learn.
probit    quantiles of the normal distribution, from scipy.

Scores and embeddings are 32-bit floats, written so that they are read back bit for bit.
"""

import json
import pathlib

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_mutual_info_score,
    normalized_mutual_info_score,
    roc_auc_score,
    roc_curve,
)

RNG = np.random.default_rng(20160619)
RATES = [0.0, 1e-4, 1e-3, 0.004, 0.01, 0.05, 0.1, 1 / 3, 0.5, 0.9, 1.0]


def floats(array):
    return [float(value) for value in np.asarray(array).ravel()]


def best_threshold(scores, same):
    """The middle of the widest gap between scores whose thresholds classify the most pairs
    correctly; ties go to the upper gap; the ends are gaps of width 0."""
    levels = sorted({float(score) for score in scores})
    above = float(np.nextafter(np.float32(levels[-1]), np.float32(np.inf)))
    candidates = [(0.0, above), (0.0, levels[0])]
    for low, high in zip(levels, levels[1:]):
        middle = float(np.float32((low + high) / 2))
        candidates.append((high - low, middle if middle > low else high))
    keyed = []
    for width, threshold in candidates:
        right = sum((float(s) >= threshold) == bool(k) for s, k in zip(scores, same))
        keyed.append((right, width, threshold))
    right, _, threshold = max(keyed)
    return threshold, right / len(scores)


def roc_case(name, scores, same):
    scores = np.asarray(scores, dtype=np.float32)
    same = np.asarray(same, dtype=bool)
    far, tar, _ = roc_curve(same, scores, drop_intermediate=False)
    negatives = int((~same).sum())

    def tar_at(rate):
        if rate < 1 / negatives:
            return None
        return float(max(t for f, t in zip(far, tar) if f <= rate))

    # By arc length, because FAR does not rise on vertical parts of the curve.
    place = np.arange(len(far))
    gap = lambda x: np.interp(x, place, far) + np.interp(x, place, tar) - 1
    root = brentq(gap, 0, len(far) - 1, xtol=1e-14, rtol=1e-14)
    threshold, accuracy = best_threshold(scores, same)
    return {
        "name": name,
        "scores": floats(scores),
        "same": same.tolist(),
        "auc": float(roc_auc_score(same, scores)),
        "eer": float(np.interp(root, place, far)),
        "tar_at_far": [[rate, tar_at(rate)] for rate in RATES],
        "points": [[float(f), float(t)] for f, t in zip(far, tar)],
        "best_threshold": threshold,
        "best_accuracy": accuracy,
    }


def mixed(count, share, step=None):
    same = RNG.random(count) < share
    scores = np.where(same, RNG.normal(0.5, 0.25, count), RNG.normal(0.1, 0.2, count))
    if step:
        scores = np.round(scores / step) * step
    return scores, same


def roc():
    return [
        roc_case("apart", [0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]),
        roc_case("upside down", [0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0]),
        roc_case("one of each", [0.5, 0.25], [1, 0]),
        roc_case("one of each, equal", [0.5, 0.5], [1, 0]),
        roc_case("all equal", [0.25] * 7, [1, 0, 0, 1, 1, 0, 0]),
        roc_case("in turn", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 0, 1, 0]),
        roc_case("ties across", [3, 3, 2, 2, 2, 1, 1, 0], [1, 0, 1, 1, 0, 0, 1, 0]),
        roc_case("negative", [-1.5, -0.25, 0.0, -0.0, -3.0], [0, 1, 1, 0, 0]),
        roc_case("400 pairs", *mixed(400, 0.5)),
        roc_case("600 pairs, tied", *mixed(600, 0.4, 0.1)),
        roc_case("few same", *mixed(300, 0.03)),
        roc_case("few different, tied", *mixed(120, 0.95, 0.25)),
    ]


def judge(scores, same, folds):
    accuracies, thresholds = [], []
    for fold in sorted(set(folds.tolist())):
        inside = folds == fold
        threshold, _ = best_threshold(scores[~inside], same[~inside])
        right = [(s >= threshold) == k for s, k in zip(scores[inside], same[inside])]
        thresholds.append(threshold)
        accuracies.append(100 * sum(right) / len(right))
    return accuracies, thresholds


def k_fold_result(accuracies, thresholds):
    error = np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))
    return {
        "accuracy_percent": float(np.mean(accuracies)),
        "standard_error_percent": float(error),
        "fold_accuracies": floats(accuracies),
        "thresholds": floats(thresholds),
    }


def cosines(left, right):
    left, right = left.astype(np.float64), right.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = (left * right).sum(axis=1)
    return np.where(norms > 0, products / np.where(norms > 0, norms, 1), 0).astype(np.float32)


def k_fold():
    cases = []
    for name, count, folds, step in [
        ("10 folds", 300, 10, None),
        ("5 folds, tied", 200, 5, 0.1),
        ("uneven folds with gaps in their numbers", 90, 0, None),
    ]:
        scores, same = mixed(count, 0.5, step)
        scores = scores.astype(np.float32)
        numbers = np.arange(count) % folds if folds else RNG.choice([2, 2, 2, 7, 7, 90], count)
        case = {
            "name": name,
            "scores": floats(scores),
            "same": same.tolist(),
            "folds": [int(number) for number in numbers],
        }
        cases.append(case | k_fold_result(*judge(scores, same, numbers)))

    # Embeddings around a common mean, so that subtracting it matters.
    pairs, features, folds = 100, 6, np.repeat(np.arange(5), 20)
    same = np.arange(pairs) % 2 == 0
    shift = RNG.normal(0, 3, features)
    left = RNG.normal(0, 1, (pairs, features))
    other = RNG.normal(0, 1, (pairs, features))
    right = np.where(same[:, None], left + 0.9 * other, other)
    left, right = (left + shift).astype(np.float32), (right + shift).astype(np.float32)
    left[3] = 0
    centred = [], []
    for fold in range(5):
        outside = folds != fold
        mean = np.vstack([left[outside], right[outside]]).astype(np.float64).mean(axis=0)
        result = judge(cosines(left - mean, right - mean), same, folds)
        for collected, of_all in zip(centred, result):
            collected.append(of_all[fold])
    embeddings = {
        "features": features,
        "left": floats(left),
        "right": floats(right),
        "same": same.tolist(),
        "folds": folds.tolist(),
        "cosines": floats(cosines(left, right)),
        "plain": k_fold_result(*judge(cosines(left, right), same, folds)),
        "centred": k_fold_result(*centred),
    }
    assert embeddings["centred"] != embeddings["plain"]
    return {"scores": cases, "embeddings": embeddings}


def identification_case(name, people, unknown, images, features, noise, axes=False):
    """`images` of each of `people` in the gallery; two probes of each, and of `unknown` others."""
    centres = RNG.normal(0, 1, (people + unknown, features))

    def embed(labels):
        found = centres[labels] + noise * RNG.normal(0, 1, (len(labels), features))
        if axes:
            found = np.where(np.abs(found) == np.abs(found).max(axis=1, keepdims=True), found, 0)
        return found.astype(np.float32)

    gallery_labels = RNG.permutation(np.repeat(np.arange(people), images))
    probe_labels = RNG.permutation(np.repeat(np.arange(people + unknown), 2))
    gallery, probes = embed(gallery_labels), embed(probe_labels)
    scores = unit(probes) @ unit(gallery).T

    best = np.array([[row[gallery_labels == i].max() for i in range(people)] for row in scores])
    ranks, own, rejected = [], [], []
    for row, label in zip(best, probe_labels):
        if label < people:
            ranks.append(1 + int((np.delete(row, label) >= row[label]).sum()))
            own.append(row[label])
        else:
            rejected.append(row.max())
    ranks, own, rejected = np.array(ranks), np.array(own), np.array(rejected)

    def tpir_at(rate):
        if rate < 1 / len(rejected):
            return None
        levels = [level for level in [-2, *own, *rejected, 2] if (rejected >= level).mean() <= rate]
        return float(((ranks == 1) & (own >= min(levels))).mean())

    return {
        "name": name,
        "features": features,
        "probes": floats(probes),
        "probe_labels": (probe_labels * 10 + 3).tolist(),
        "gallery": floats(gallery),
        "gallery_labels": (gallery_labels * 10 + 3).tolist(),
        "ranks": ranks.tolist(),
        "cmc": [float((ranks <= rank).mean()) for rank in range(1, people + 1)],
        "tpir_at_fpir": [[rate, tpir_at(rate)] for rate in RATES] if len(rejected) else [],
    }


def unit(rows):
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def identification():
    return [
        identification_case("one image each", 12, 8, 1, 8, 0.8),
        identification_case("three images each", 15, 10, 3, 5, 0.9),
        # Along the axes, so that cosines are -1, 0 or 1, exact and often equal.
        identification_case("tied", 9, 6, 2, 6, 0.5, axes=True),
        identification_case("closed", 40, 0, 2, 4, 0.7),
    ]


def mutual_information():
    many = RNG.integers(0, 12, 300)
    noisy = np.where(RNG.random(300) < 0.7, many, RNG.integers(0, 9, 300))
    cases = [
        ("the same with other names", [0, 0, 1, 1, 2], [5, 5, 3, 3, 9]),
        ("independent", [0, 0, 1, 1], [0, 1, 0, 1]),
        ("one group", [0, 0, 0, 0], [1, 1, 1, 1]),
        ("one group and two", [0, 0, 0, 0], [1, 1, 2, 2]),
        ("single samples and two groups", [0, 1, 2, 3], [1, 1, 2, 2]),
        ("small", [0, 0, 1, 1, 2, 2, 2], [0, 1, 1, 1, 0, 2, 2]),
        ("large groups", [0] * 60 + [1] * 40, [0] * 50 + [1] * 50),
        ("by chance", many, RNG.integers(0, 12, 300)),
        ("alike", many, noisy),
        ("many small groups", RNG.integers(0, 120, 300), RNG.integers(0, 120, 300)),
    ]
    return [
        {
            "name": name,
            "first": [int(label) for label in first],
            "second": [int(label) for label in second],
            "nmi": float(normalized_mutual_info_score(first, second)),
            "ami": float(adjusted_mutual_info_score(first, second)),
        }
        for name, first, second in cases
    ]


def k_means():
    cases = []
    for name, count, features, k, shift in [
        ("small", 40, 2, 3, 0.0),
        ("far from zero", 120, 5, 6, 100.0),
    ]:
        centres = RNG.normal(0, 2, (k, features)) + shift
        rows = centres[RNG.integers(0, k, count)] + RNG.normal(0, 1, (count, features))
        rows = rows.astype(np.float32)
        start = rows[:k]
        exact = rows.astype(np.float64)
        fit = KMeans(
            k, init=start.astype(np.float64), n_init=1, max_iter=100, tol=0, algorithm="lloyd"
        ).fit(exact)
        cases.append(
            {
                "name": name,
                "features": features,
                "embeddings": floats(rows),
                "start": floats(start),
                "clusters": fit.labels_.tolist(),
                "inertia": float(fit.inertia_),
                "centroids": floats(fit.cluster_centers_),
            }
        )
    return cases


def probit():
    rates = [1e-300, 1e-20, 1e-10, 1e-6, 1e-4, 0.001, 0.01, 0.02425, 0.074, 0.075, 0.076, 0.2]
    rates += [0.4, 0.5, 0.6, 0.8, 0.924, 0.925, 0.926, 0.99, 0.999, 0.999999, 1 - 1e-12]
    return [[rate, float(ndtri(rate))] for rate in rates]


def main():
    golden = {
        "roc": roc(),
        "k_fold": k_fold(),
        "identification": identification(),
        "mutual_information": mutual_information(),
        "k_means": k_means(),
        "probit": probit(),
    }
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, separators=(",", ":")).replace("},", "},\n") + "\n")


if __name__ == "__main__":
    main()
