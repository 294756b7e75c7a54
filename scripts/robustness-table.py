"""Prints the tables of scripts/robustness from its JSON files, in Markdown.

    python3 scripts/robustness-table.py OUT
"""

import json
import statistics
import sys
from pathlib import Path

out = Path(sys.argv[1])


def rows(annealing, feature):
    path = out / f"{annealing}-{feature}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def spread(values, digits):
    values = [v for v in values if v is not None]
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


for feature in (128, 2):
    print(f"\n{feature}-D feature: test error % / mean target angle in degrees / runs that died\n")
    print("| m | auto | power law | λ = 0 |")
    print("|---|---|---|---|")
    for m in (1, 2, 3, 4, 6, 8):
        cells = []
        for annealing in ("auto", "power-law", "none"):
            found = [row for row in rows(annealing, feature) if row["m"] == m]
            if not found:
                cells.append("-")
                continue
            dead = sum(row["diverged"] for row in found)
            error = spread([row["test_error_percent"] for row in found], 2)
            angle = spread([row["mean_target_angle_deg"] for row in found], 1)
            cells.append(f"{error} / {angle} / {dead} of {len(found)}")
        print(f"| {m} | " + " | ".join(cells) + " |")

auto = rows("auto", 128)
if auto:
    softmax = statistics.mean(r["test_error_percent"] for r in auto if r["m"] == 1)
    worst = max(r["test_error_percent"] for r in auto)
    print(f"\nauto, 128-D: {len(auto)} runs, {sum(r['diverged'] for r in auto)} died;", end=" ")
    print(f"softmax mean {softmax:.2f} %, worst run {worst:.2f} % ({worst - softmax:+.2f})")
