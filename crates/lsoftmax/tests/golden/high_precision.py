"""Makes definition.json, family.json and norms.json: losses as they are published, with 50 digits.

Run it with

    python3 -m venv venv && venv/bin/pip install mpmath && venv/bin/python high_precision.py

Angles come from acos, logits from the definitions below, and gradients from central differences
of the whole loss with a step of 1e-15: an error of about 1e-30, far below what a 64-bit float can
hold. There is no formula for a derivative in this program.

definition.json   L-Softmax, m = 1 to 16, a sample in every sector:
                  f_y = |w||x| ((-1)^k cos(m t) - 2k), t in [k pi/m, (k+1) pi/m]
family.json       losses that normalise. With c the cosine and t its angle,
  a-softmax       |w| = 1: f_y = |x| ((-1)^k cos(m t) - 2k), others |x| c
  cos-face        f_y = s (c - margin), others s c
  arc-face        f_y = s cos(t + margin), and s (c - margin sin(margin)) where t + margin > pi
                  (a step down at that angle, as in the published code), others s c
  combined        f_y = s (cos(u) - m3) with u = m1 t + m2, others s c. Where u > pi, cos(u)
                  would rise again; it is continued as -2 - cos(u), which is continuous with
                  its slope and falls.

norms.json        every loss with class weights whose norms differ by a factor of ten, and features
                  whose class by the inner product is not their class by the cosine

With an annealing constant lambda the target logit is (lambda p + f_y) / (1 + lambda), p being the
logit without margin. Gradients are with respect to x and w as given, before normalisation.
"""

import random

import mpmath as mp

import cases

mp.mp.dps = 50
STEP = mp.mpf(10) ** -15


def dot(a, b):
    return mp.fsum(u * v for u, v in zip(a, b))


def norm(a):
    return mp.sqrt(dot(a, a))


def psi(m, theta):
    k = min(int(mp.floor(m * theta / mp.pi)), m - 1)
    return (-1) ** k * mp.cos(m * theta) - 2 * k


def target_factor(margin, cosine):
    """The target logit over the length that the plain logit has beside its cosine."""
    theta = mp.acos(cosine)
    kind = margin["loss"]
    if kind in ("l-softmax", "a-softmax"):
        return psi(margin["m"], theta)
    # The numbers of a margin are taken as the 64-bit floats that a program reads.
    if kind == "cos-face":
        return cosine - mp.mpf(margin["margin"])
    if kind == "arc-face":
        angle = mp.mpf(margin["margin"])
        if theta + angle > mp.pi:
            return cosine - angle * mp.sin(angle)
        return mp.cos(theta + angle)
    if kind == "combined":
        u = mp.mpf(margin["m1"]) * theta + mp.mpf(margin["m2"])
        value = -2 - mp.cos(u) if u > mp.pi else mp.cos(u)
        return value - mp.mpf(margin["m3"])
    raise ValueError(kind)


def plain_length(margin, x, w):
    """What a cosine is multiplied with to give the plain logit."""
    if margin["loss"] == "l-softmax":
        return norm(x) * norm(w)
    if margin["loss"] == "a-softmax":
        return norm(x)
    return mp.mpf(margin["scale"])


def sample(margin, lam, x, w, label):
    """Plain logits, target logit and cross-entropy of one sample."""
    logits, lengths, cosines = [], [], []
    for weight in w:
        lengths.append(plain_length(margin, x, weight))
        cosines.append(dot(x, weight) / (norm(x) * norm(weight)))
        logits.append(lengths[-1] * cosines[-1])
    target = lengths[label] * target_factor(margin, cosines[label])
    target = (lam * logits[label] + target) / (1 + lam)
    margin_logits = list(logits)
    margin_logits[label] = target
    log_sum = mp.log(mp.fsum(mp.exp(v) for v in margin_logits))
    return logits, target, log_sum - target


def mean_loss(margin, lam, x, w, labels):
    losses = [sample(margin, lam, row, w, y)[2] for row, y in zip(x, labels)]
    return mp.fsum(losses) / len(losses)


def central_differences(array, function):
    """The derivative of function() by each entry of array, which is moved and put back."""
    gradient = []
    for row in array:
        gradient.append([])
        for i, value in enumerate(row):
            row[i] = value + STEP
            above = function()
            row[i] = value - STEP
            below = function()
            row[i] = value
            gradient[-1].append((above - below) / (2 * STEP))
    return gradient


def reference(margin, lam, x, w, labels):
    x = [[mp.mpf(v) for v in row] for row in x]
    w = [[mp.mpf(v) for v in row] for row in w]
    rows = [sample(margin, lam, row, w, y) for row, y in zip(x, labels)]
    logits, targets, losses = zip(*rows)
    loss = mp.fsum(losses) / len(losses)
    dx = []
    for row, label in zip(x, labels):
        # A feature is in no other sample's loss.
        own = central_differences([row], lambda: sample(margin, lam, row, w, label)[2])
        dx.append([value / len(x) for value in own[0]])
    dw = central_differences(w, lambda: mean_loss(margin, lam, x, w, labels))
    return logits, targets, losses, loss, dx, dw


def definition():
    sizes = [(3, 2), (4, 3), (3, 5), (6, 4), (5, 2), (4, 7), (3, 3)]
    wanted = [(m, 0) for m in range(1, 17)] + [(2, 5), (3, 1000), (6, 5), (16, 1000)]
    made = []
    for i, (m, lam) in enumerate(wanted):
        classes, features = sizes[i % len(sizes)]
        angles, sectors = cases.sector_angles(i, m, 3)
        x, w, labels = cases.inputs(1000 + i, classes, features, angles)
        margin = {"loss": "l-softmax", "m": m}
        result = reference(margin, lam, x, w, labels)
        made.append(cases.case(f"m{m} lambda{lam}", margin, lam, x, w, labels, sectors, result))
    cases.write("definition.json",
                "L-Softmax, m = 1 to 16, from its definition; made by high_precision.py", made)


def family():
    # Degrees; the last two are beyond the angle at which arc-face and combined are continued.
    wide = [12.0, 55.0, 96.0, 158.0, 174.0]
    narrow = [8.0, 33.0, 71.0]
    wanted = [
        ("a-softmax m1", {"loss": "a-softmax", "m": 1}, 0, None),
        ("a-softmax m2", {"loss": "a-softmax", "m": 2}, 0, None),
        ("a-softmax m3 lambda5", {"loss": "a-softmax", "m": 3}, 5, None),
        ("a-softmax m4", {"loss": "a-softmax", "m": 4}, 0, None),
        ("a-softmax m4 lambda5", {"loss": "a-softmax", "m": 4}, 5, None),
        ("norm-face: cos-face without margin",
         {"loss": "cos-face", "scale": 16.0, "margin": 0.0}, 0, narrow),
        ("cos-face s4", {"loss": "cos-face", "scale": 4.0, "margin": 0.35}, 0, wide),
        ("am-softmax as published",
         {"loss": "cos-face", "scale": 30.0, "margin": 0.35}, 0, narrow),
        ("cos-face as published",
         {"loss": "cos-face", "scale": 64.0, "margin": 0.35}, 0, wide),
        ("arc-face s4", {"loss": "arc-face", "scale": 4.0, "margin": 0.5}, 0, narrow),
        ("arc-face s4 beyond pi", {"loss": "arc-face", "scale": 4.0, "margin": 0.5}, 0, wide),
        ("arc-face as published",
         {"loss": "arc-face", "scale": 64.0, "margin": 0.5}, 0, wide),
        ("combined s4",
         {"loss": "combined", "scale": 4.0, "m1": 1.0, "m2": 0.3, "m3": 0.2}, 0, narrow),
        ("combined s4 beyond pi",
         {"loss": "combined", "scale": 4.0, "m1": 1.0, "m2": 0.3, "m3": 0.2}, 0, wide),
        ("combined as published",
         {"loss": "combined", "scale": 64.0, "m1": 1.0, "m2": 0.3, "m3": 0.2}, 0, wide),
        ("combined with m1 below 1",
         {"loss": "combined", "scale": 16.0, "m1": 0.9, "m2": 0.4, "m3": 0.15}, 0, wide),
    ]
    sizes = [(4, 3), (3, 2), (5, 4), (3, 6)]
    made = []
    for i, (name, margin, lam, degrees) in enumerate(wanted):
        classes, features = sizes[i % len(sizes)]
        if degrees is None:
            angles, sectors = cases.sector_angles(50 + i, margin["m"], 4)
        else:
            angles, sectors = [float(mp.radians(d)) for d in degrees], None
        x, w, labels = cases.inputs(2000 + i, classes, features, angles)
        result = reference(margin, lam, x, w, labels)
        made.append(cases.case(name, margin, lam, x, w, labels, sectors, result))
    cases.write("family.json",
                "Losses that normalise, from their definitions; made by high_precision.py", made)


def nearest(values):
    return max(range(len(values)), key=lambda j: values[j])


def uneven_inputs(seed, classes, features, batch):
    """Class weights with norms from 0.3 to 3, and features between two of them: nearer in angle to
    one, with the larger inner product with the other."""
    rng = random.Random(seed)
    norms = [0.3 * 10 ** (j / (classes - 1)) for j in range(classes)]
    w = []
    for length in norms:
        direction = cases.vector(rng, features)
        w.append([cases.to_f32(length * v / cases.norm(direction)) for v in direction])
    x, labels = [], []
    while len(x) < batch:
        row = [cases.to_f32(2.0 * v) for v in cases.vector(rng, features)]
        label = rng.randrange(classes)
        inner = [sum(a * b for a, b in zip(row, weight)) for weight in w]
        cosines = [value / length / cases.norm(row) for value, length in zip(inner, norms)]
        # Near a cosine of 1 an angle in 64 bits has few digits.
        if nearest(inner) != nearest(cosines) and abs(cosines[label]) < 0.9:
            x.append(row)
            labels.append(label)
    return x, w, labels


def norms():
    scaled = {"scale": 8.0, "margin": 0.3}
    wanted = [
        ({"loss": "l-softmax", "m": 1}, 0),
        ({"loss": "l-softmax", "m": 3}, 2),
        ({"loss": "a-softmax", "m": 1}, 0),
        ({"loss": "a-softmax", "m": 4}, 5),
        ({"loss": "cos-face", **scaled}, 0),
        ({"loss": "arc-face", **scaled}, 0),
        ({"loss": "combined", "scale": 8.0, "m1": 1.0, "m2": 0.3, "m3": 0.2}, 0),
    ]
    sizes = [(3, 2), (4, 3), (5, 6)]
    made = []
    for i, (margin, lam) in enumerate(wanted):
        classes, features = sizes[i % len(sizes)]
        x, w, labels = uneven_inputs(3000 + i, classes, features, 4)
        name = f"{margin['loss']} {i}, norms of class weights from 0.3 to 3"
        result = reference(margin, lam, x, w, labels)
        made.append(cases.case(name, margin, lam, x, w, labels, None, result))
    cases.write("norms.json",
                "Class weights whose norms differ by ten, from the definitions; made by "
                "high_precision.py", made)


if __name__ == "__main__":
    definition()
    family()
    norms()
