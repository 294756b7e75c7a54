"""Makes closed_form.json: L-Softmax for m = 2, 3, 4 from closed forms in the cosine.

Run it with

    python3 -m venv venv && venv/bin/pip install numpy && venv/bin/python closed_form.py

The target logit is written without angles, as in the Caffe layer of the paper's authors: a
polynomial in c with signs that name the sector, sgn(0) = 0. With z = w.x and the two norms,

    m = 2   f = 2 s0 z^2 / (|w||x|) - |w||x|
    m = 3   f = s1 (4 z^3 / (|w||x|)^2 - 3 z) + s2 |w||x|
    m = 4   f = s3 (8 z^4 / (|w||x|)^3 - 8 z^2 / (|w||x|) + |w||x|) + s4 |w||x|

Each is differentiated by hand below: df/dx = a w + b (|w|/|x|) x, and df/dw the same with x and
w exchanged. Nothing here knows of acos, of Chebyshev polynomials or of the general formula, so
the file is an independent check of all three. Every gradient is checked against central
differences before it is written.
"""

import numpy as np

import cases


def closed_form(m, c):
    """psi and the coefficients a, b of its gradient, at cosine c."""
    s0 = np.sign(c)
    if m == 2:
        return 2 * s0 * c**2 - 1, 4 * s0 * c, -2 * s0 * c**2 - 1
    if m == 3:
        s1 = np.sign(abs(c) - 0.5)
        s2 = s0 * (1 + s1) - 2
        return s1 * (4 * c**3 - 3 * c) + s2, s1 * (12 * c**2 - 3), -8 * s1 * c**3 + s2
    if m == 4:
        s3 = s0 * np.sign(2 * c**2 - 1)
        s4 = 2 * s0 + s3 - 3
        return (s3 * (8 * c**4 - 8 * c**2 + 1) + s4,
                s3 * (32 * c**3 - 16 * c),
                s3 * (1 + 8 * c**2 - 24 * c**4) + s4)
    raise ValueError(m)


def forward(m, lam, x, w, labels):
    """Plain logits, target logits, losses, and what the backward pass needs of them."""
    logits = x @ w.T
    margin_logits = logits.copy()
    coefficients = []
    for i, y in enumerate(labels):
        lengths = np.linalg.norm(x[i]) * np.linalg.norm(w[y])
        psi, a, b = closed_form(m, logits[i, y] / lengths)
        margin_logits[i, y] = (lam * logits[i, y] + psi * lengths) / (1 + lam)
        # The plain logit is w.x: a = 1, b = 0.
        coefficients.append(((lam + a) / (1 + lam), b / (1 + lam)))
    largest = margin_logits.max(axis=1, keepdims=True)
    log_sum = largest[:, 0] + np.log(np.exp(margin_logits - largest).sum(axis=1))
    target = margin_logits[np.arange(len(labels)), labels]
    return logits, margin_logits, target, log_sum - target, coefficients


def loss_and_gradients(m, lam, x, w, labels):
    logits, margin_logits, target, losses, coefficients = forward(m, lam, x, w, labels)
    upstream = np.exp(margin_logits - (losses + target)[:, None])
    upstream[np.arange(len(labels)), labels] -= 1
    upstream /= len(labels)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, y in enumerate(labels):
        for j in range(len(w)):
            a, b = coefficients[i] if j == y else (1.0, 0.0)
            ratio = np.linalg.norm(w[j]) / np.linalg.norm(x[i])
            dx[i] += upstream[i, j] * (a * w[j] + b * ratio * x[i])
            dw[j] += upstream[i, j] * (a * x[i] + b / ratio * w[j])
    return logits, target, losses, losses.mean(), dx, dw


def check(m, lam, x, w, labels, dx, dw, tolerance):
    """Central differences of the mean loss agree with the gradients."""
    step = 1e-6
    for array, gradient in [(x, dx), (w, dw)]:
        for index in np.ndindex(array.shape):
            value = array[index]
            sides = []
            for moved in (value + step, value - step):
                array[index] = moved
                sides.append(forward(m, lam, x, w, labels)[3].mean())
            array[index] = value
            numeric = (sides[0] - sides[1]) / (2 * step)
            error = abs(numeric - gradient[index]) / max(1, abs(numeric))
            assert error < tolerance, (m, lam, index, numeric, gradient[index])


# Cosines 0, 1, -1 and 1/2, -1/2 without rounding: the ends of the sectors of m = 2, 3, 4
# that 32-bit floats can express.
KNOT_X = [[0, 3, 0, 0], [2, 0, 0, 0], [-1.5, 0, 0, 0], [1, 1, 1, 1], [-1, 1, -1, 1]]
KNOT_W = [[2, 0, 0, 0], [0.5, -0.25, 1, 0.75], [-1, 0.5, 0.25, 0]]
KNOT_SECTORS = {2: [1, 0, 1, 0, 1], 3: [1, 0, 2, 1, 2], 4: [2, 0, 3, 1, 2]}


def main():
    made = []

    def add(name, m, lam, x, w, labels, sectors, tolerance):
        x, w = np.array(x, dtype=np.float64), np.array(w, dtype=np.float64)
        result = loss_and_gradients(m, lam, x, w, labels)
        check(m, lam, x, w, labels, *result[4:], tolerance)
        margin = {"loss": "l-softmax", "m": m}
        made.append(cases.case(name, margin, lam, x, w, labels, sectors, result))

    sizes = {(2, 0): (3, 2), (2, 5): (4, 5), (2, 1000): (6, 7),
             (3, 0): (5, 4), (3, 5): (3, 2), (3, 1000): (4, 3),
             (4, 0): (4, 6), (4, 5): (6, 3), (4, 1000): (3, 5)}
    for (m, lam), (classes, features) in sizes.items():
        seed = 100 * m + lam
        angles, sectors = cases.sector_angles(seed, m, 5)
        x, w, labels = cases.inputs(seed, classes, features, angles)
        add(f"m{m} lambda{lam}", m, lam, x, w, labels, sectors, 1e-8)
    for m, sectors in KNOT_SECTORS.items():
        # At a knot either neighbouring sector gives the same value and slope; the list names
        # the later one, and the last sector at the end. The second derivative jumps there, so
        # a central difference is off by the order of its step.
        add(f"m{m} knots", m, 0, KNOT_X, KNOT_W, [0] * len(KNOT_X), sectors, 1e-5)
    cases.write("closed_form.json",
                "L-Softmax, m = 2, 3, 4, from closed forms; made by closed_form.py", made)


if __name__ == "__main__":
    main()
