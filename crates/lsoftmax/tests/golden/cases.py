"""Inputs of the golden cases, and the form in which they are written.

Imported by closed_form.py and high_precision.py; uses the standard library only.

A file is {"about": text, "cases": [case, ...]} with one case:

    name           what the case is, unique in its file
    margin         the loss and its numbers: {"loss": "l-softmax", "m": 4} and the like
    lambda         the annealing constant; 0 is the margin by itself
    batch, classes, features    the sizes
    x              features [batch, features], row after row
    w              class weights [classes, features], row after row
    labels         [batch]
    sectors        [batch] k, the sector in which the target angle lies; null where the
                   loss has no sectors
    logits         [batch, classes] without margin: w.x, or the normalised form of the loss
    target_logits  [batch] the target logit with margin and lambda
    losses         [batch] the cross-entropy of each sample
    loss           their mean
    dx, dw         gradients of that mean with respect to x and w, in their shapes

Every x and w is a 32-bit float, so one file serves tests in f32 and f64. Results are 64-bit
floats in full.
"""

import json
import math
import pathlib
import random
import struct


def to_f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def vector(rng, size):
    """A random vector that is not close to zero."""
    while True:
        values = [rng.uniform(-1.0, 1.0) for _ in range(size)]
        if norm(values) > 0.3:
            return values


def norm(values):
    return math.sqrt(sum(v * v for v in values))


def at_angle(rng, weight, theta, length):
    """A vector of this length whose angle to `weight` is theta."""
    along = [v / norm(weight) for v in weight]
    while True:
        across = vector(rng, len(weight))
        overlap = sum(a * b for a, b in zip(across, along))
        across = [a - overlap * b for a, b in zip(across, along)]
        if norm(across) > 0.1:
            break
    across = [v / norm(across) for v in across]
    return [to_f32(length * (math.cos(theta) * a + math.sin(theta) * b))
            for a, b in zip(along, across)]


def inputs(seed, classes, features, angles):
    """One sample per angle to its own class weight; every norm is different."""
    rng = random.Random(seed)
    w = [[to_f32(v) for v in vector(rng, features)] for _ in range(classes)]
    labels = [rng.randrange(classes) for _ in angles]
    x = [at_angle(rng, w[label], theta, rng.uniform(0.5, 3.0))
         for label, theta in zip(labels, angles)]
    return x, w, labels


def sector_angles(seed, m, batch):
    """At least one angle inside each of the m sectors, away from their ends."""
    rng = random.Random(seed)
    sectors = [i % m for i in range(max(m, batch))]
    rng.shuffle(sectors)
    return [(k + rng.uniform(0.1, 0.9)) * math.pi / m for k in sectors], sectors


def flat(rows):
    return [float(v) for row in rows for v in row]


def case(name, margin, lam, x, w, labels, sectors, result):
    logits, target_logits, losses, loss, dx, dw = result
    return {
        "name": name,
        "margin": margin,
        "lambda": lam,
        "batch": len(x),
        "classes": len(w),
        "features": len(x[0]),
        "x": flat(x),
        "w": flat(w),
        "labels": labels,
        "sectors": sectors,
        "logits": flat(logits),
        "target_logits": [float(v) for v in target_logits],
        "losses": [float(v) for v in losses],
        "loss": float(loss),
        "dx": flat(dx),
        "dw": flat(dw),
    }


def write(file, about, cases):
    """One line per entry of a case: a change of one value shows as a change of one line."""
    names = [c["name"] for c in cases]
    assert len(set(names)) == len(names), "two cases have one name"
    bodies = []
    for c in cases:
        entries = (f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
                   for key, value in c.items())
        bodies.append(" {\n" + ",\n".join(entries) + "\n }")
    text = ('{"about": ' + json.dumps(about) + ',\n"cases": [\n'
            + ",\n".join(bodies) + "\n]}\n")
    json.loads(text)
    path = pathlib.Path(__file__).with_name(file)
    path.write_text(text)
    print(f"{file}: {len(cases)} cases, {len(text)} bytes")
