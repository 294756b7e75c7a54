#!/usr/bin/env python3
"""Losses compared on classes that were never trained on.

    scripts/open-set.py alphabet [OUT]            generated characters, no download
    scripts/open-set.py omniglot DATA [OUT]       DATA has images_background/ and images_evaluation/

First each loss is trained with each learning rate on a part of the training classes, or on other
characters, and tested on the rest of them: the rate with the best verification accuracy is taken.
Then all losses are trained with their rates on all training classes, with three seeds, and tested on
the classes that nothing has seen yet. What is done in OUT is not done again. LSOFTMAX names the
program, if it is not to be built; THREADS the threads, if not all cores.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

LOSSES = [
    "softmax",
    "softmax+contrastive",
    "triplet",
    "l-softmax:2",
    "l-softmax:3",
    "l-softmax:4",
    "arc-face",
]
RATES = ["0.01", "0.03", "0.1", "0.3", "1"]
SEEDS = "0,1,2"
# Of the 30 alphabets of images_background, every fifth chooses the learning rates.
EVERY = 5

TASKS = {
    "alphabet": {
        "choose": "--data alphabet:200 --data-seed 100 --open-set 100 --iterations 600",
        "final": "--data alphabet:200 --open-set 100",
    },
    "omniglot": {
        "choose": "--data images --class-folders each --data-dir {out}/train --open-set {out}/validation --iterations 500",
        "final": "--data images --class-folders each --data-dir {data}/images_background "
        "--open-set {data}/images_evaluation --iterations 1000",
        "both": "--image-size 28 --channels grey --test-share 0.05 --image-cache {out}/cache",
    },
}


def program():
    if "LSOFTMAX" in os.environ:
        return os.environ["LSOFTMAX"]
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "lsoftmax-cli"], check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release", "lsoftmax")


def part_alphabets(data, out):
    alphabets = sorted(path for path in (data / "images_background").iterdir() if path.is_dir())
    for index, alphabet in enumerate(alphabets):
        part = out / ("validation" if index % EVERY == 0 else "train")
        part.mkdir(parents=True, exist_ok=True)
        link = part / alphabet.name
        if not link.is_symlink():
            link.symlink_to(alphabet.resolve())


def compare(lsoftmax, out, name, options, losses, seeds):
    """The rows of a comparison, from the file it left or by making it."""
    file = out / f"{name}.json"
    if not file.exists():
        shutil.rmtree(out / name, ignore_errors=True)
        command = [lsoftmax, "compare", *options, "--losses", losses, "--seeds", seeds]
        command += ["--no-pictures", "--evaluations", "1", "--quiet", "--json"]
        command += ["--out", str(out / name)]
        if "THREADS" in os.environ:
            command += ["--threads", os.environ["THREADS"]]
        print(" ".join(command), file=sys.stderr, flush=True)
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        part = file.with_suffix(".part")
        part.write_text(found)
        part.rename(file)
    return json.loads(file.read_text())["rows"]


def figures(row):
    found = row["open_set"]
    verification = found["verification"]
    tar = {point["asked"]: point["measured"] for point in verification["tar_at_far"]}
    share = lambda far: 100 * tar[far]["tar"] if tar.get(far) else float("nan")
    return [
        verification["accuracy_percent"],
        share(1e-2),
        share(1e-3),
        verification["eer_percent"],
        100 * found["retrieval"]["recall_at"][0][1],
        100 * found["retrieval"]["map_at_r"],
        found["nmi"],
    ]


def spread(values):
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, 0.0
    return mean, (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5


def main():
    task = sys.argv[1] if len(sys.argv) > 1 else ""
    if task not in TASKS:
        sys.exit(__doc__)
    rest = sys.argv[2:]
    data = pathlib.Path(rest.pop(0)) if task == "omniglot" and rest else None
    out = pathlib.Path(rest[0] if rest else f"runs/open-set-{task}")
    out.mkdir(parents=True, exist_ok=True)
    if task == "omniglot":
        if data is None or not (data / "images_background").is_dir():
            sys.exit("omniglot: name the folder that images_background lies in")
        part_alphabets(data, out)
    lsoftmax = program()
    options = lambda which: (
        (TASKS[task][which] + " " + TASKS[task].get("both", "")).format(out=out, data=data).split()
    )

    rates = {}
    lines = ["| loss | " + " | ".join(RATES) + " |", "|---" * (len(RATES) + 1) + "|"]
    for loss in LOSSES:
        accuracies = []
        for rate in RATES:
            name = f"choose-{loss.replace(':', '-').replace('+', '-')}-{rate}"
            row = compare(lsoftmax, out, name, options("choose"), f"{loss}@{rate}", "0")[0]
            accuracies.append(row["open_set"]["verification"]["accuracy_percent"])
        best = max(range(len(RATES)), key=lambda i: accuracies[i])
        rates[loss] = RATES[best]
        cells = [f"**{a:.2f}**" if i == best else f"{a:.2f}" for i, a in enumerate(accuracies)]
        lines.append(f"| {loss} | " + " | ".join(cells) + " |")
    print("Verification accuracy (%) by learning rate:\n")
    print("\n".join(lines))

    losses = ",".join(f"{loss}@{rates[loss]}" for loss in LOSSES)
    rows = compare(lsoftmax, out, "final", options("final"), losses, SEEDS)
    found = rows[0]["open_set"]
    pairs = found["verification"]
    print(
        f"\n{found['images']} images of {found['classes']} classes never trained on, "
        f"{pairs['same_pairs']} same and {pairs['different_pairs']} different pairs:\n"
    )
    header = ["loss", "rate", "accuracy", "TAR at 1e-2", "TAR at 1e-3", "EER", "Recall@1", "MAP@R", "NMI"]
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    for loss in LOSSES:
        name, _, margin = loss.partition(":")
        runs = [
            figures(row)
            for row in rows
            if row["loss"] == name and (not margin or row["m"] == int(margin))
        ]
        cells = [loss, rates[loss]]
        for column in range(len(runs[0])):
            mean, deviation = spread([run[column] for run in runs])
            cells.append(f"{mean:.3f} ± {deviation:.3f}" if column == 6 else f"{mean:.2f} ± {deviation:.2f}")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
