"""cleanlab on the same labels and the same out-of-fold probabilities: precision, recall and average precision of both sides.

    python3 bench/insight/peer_label_checks.py DUMP...          # dumps of `bench_insight ... labels`

For each dump: our suspects, then cleanlab's find_label_issues with its default filter (prune_by_noise_rate), with "both", and with
"confident_learning", each ranked by normalised margin. Average precision counts what was not flagged as never found, so it
rewards order and recall. Prints a line of JSON a dump.
"""

import json
import sys
import warnings

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores


def read(path):
    with open(path, "rb") as file:
        n, d, classes = np.fromfile(file, np.int32, 3)
        given, true = np.fromfile(file, np.int32, n), np.fromfile(file, np.int32, n)
        probability = np.fromfile(file, np.float32, n * classes).reshape(n, classes).astype(float)
        np.fromfile(file, np.float32, n * d)
        score = np.fromfile(file, np.float64, n)
    probability = np.clip(probability, 1e-9, None)
    return given, true, probability / probability.sum(1, keepdims=True), score


def judge(flagged, score, wrong):
    order = np.flatnonzero(flagged)
    order = order[np.argsort(-score[order], kind="stable")]
    hits = np.cumsum(wrong[order])
    found = hits[-1] if len(order) else 0
    average = (hits / np.arange(1, len(order) + 1))[wrong[order]].sum() / wrong.sum()
    precision, recall = found / max(1, len(order)), found / wrong.sum()
    return {"flagged": int(len(order)), "precision": round(float(precision), 4), "recall": round(float(recall), 4),
            "f1": round(float(2 * precision * recall / max(1e-9, precision + recall)), 4),
            "average_precision": round(float(average), 4)}


def main():
    warnings.filterwarnings("ignore")
    for path in sys.argv[1:]:
        given, true, probability, score = read(path)
        wrong = given != true
        row = {"dump": path, "wrong": int(wrong.sum()), "gleaner": judge(~np.isnan(score), np.nan_to_num(score), wrong)}
        quality = get_label_quality_scores(given, probability, method="normalized_margin")
        for filter_by in ("prune_by_noise_rate", "both", "confident_learning"):
            flagged = find_label_issues(given, probability, filter_by=filter_by, n_jobs=1)
            row[f"cleanlab {filter_by}"] = judge(flagged, -quality, wrong)
        print(json.dumps(row))


if __name__ == "__main__":
    main()
