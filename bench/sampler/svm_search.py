"""The search for the classifier beside scikit-learn's GridSearchCV: the same grid, the same rows, the same machine.

    VENV/bin/python bench/sampler/svm_search.py [--sizes 500,2000,5000] [--limit-s 240]

CIFAR-10 embeddings (pools.py), 2 kernels x 8 C x 8 gamma, five stratified folds, classes weighted alike, balanced accuracy. Three sides:

    scikit-learn       GridSearchCV(SVC(class_weight="balanced"), n_jobs=all cores), a part of the grid (one kernel and gamma, every C) at a time
    gleaner            as it comes: the grid on at most 1,536 rows, the final model on all
    gleaner, all rows  the grid on all rows as well

Both programs also train the winner; gleaner fits its probabilities besides, on the same clock. gleaner runs before every part of
scikit-learn's, in turn; its figure is the median. A run ends after --limit-s and the next one goes on with the parts that are left
(kept in the cache); --forget starts afresh. The point that gleaner chose is looked up in scikit-learn's own cross-validation, so that
one scale judges both.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC

import pools

C = [2.0 ** e for e in range(-3, 12, 2)]
GAMMA = [2.0 ** e for e in range(-7, 8, 2)]
PARTS = [("linear", None)] + [("rbf", gamma) for gamma in GAMMA]
BENCH_SVM = os.path.join(pools.ROOT, "build", "release", "bench", "bench_svm")


def run_gleaner(options, folder, n, search_rows):
    done = subprocess.run([options.bench_svm, os.path.join(folder, "pool.npy"), os.path.join(folder, "pool_labels.npy"), str(n),
                           "--c", ",".join(map(repr, C)), "--gamma", ",".join(map(repr, GAMMA)), "--search-rows", str(search_rows)],
                          check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run_part(x, y, kernel, gamma):
    """Seconds and scores {C: mean over folds} of GridSearchCV on one kernel and gamma."""
    grid = {"kernel": [kernel], "C": C} | ({"gamma": [gamma]} if gamma else {})
    search = GridSearchCV(SVC(class_weight="balanced"), grid, scoring="balanced_accuracy", n_jobs=-1, refit=False,
                          cv=StratifiedKFold(5, shuffle=True, random_state=1))
    started = time.perf_counter()
    search.fit(x, y)
    seconds = time.perf_counter() - started
    return seconds, {str(p["C"]): s for p, s in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"])}


def part_name(kernel, gamma):
    return kernel if gamma is None else f"{kernel} {gamma:g}"


def load_state(path):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    return {"parts": {}, "gleaner": [], "all rows": []}


def measure(options, folder, n, deadline, state, path):
    x = np.load(os.path.join(folder, "pool.npy"))[:n]
    y = np.load(os.path.join(folder, "pool_labels.npy"))[:n]
    for kernel, gamma in PARTS:
        name = part_name(kernel, gamma)
        if name in state["parts"]:
            continue
        if time.monotonic() > deadline:
            return
        state["gleaner"].append(run_gleaner(options, folder, n, 0))
        if len(state["all rows"]) < options.all_rows_runs:
            state["all rows"].append(run_gleaner(options, folder, n, n))
        state["parts"][name] = run_part(x, y, kernel, gamma)
        pools.write_whole(path, lambda file: file.write(json.dumps(state).encode()))


def spread(runs):
    seconds = [s for run in runs for s in run["seconds"]]
    return statistics.median(seconds), f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def report(n, state):
    parts = state["parts"]
    if not state["gleaner"]:
        return f"| {n} | nothing measured yet | | | | |"
    peer_s = sum(seconds for seconds, _ in parts.values())
    whole = len(parts) == len(PARTS)
    scores = {(name, c): s for name, (_, by_c) in parts.items() for c, s in by_c.items()}
    (best_part, best_c), best = max(scores.items(), key=lambda item: item[1])
    stopped = "" if whole else f", stopped: {len(parts)} of {len(PARTS)} parts"
    lines = [f"| {n} | scikit-learn | {peer_s:.1f}{stopped} | 1 | {100 * best:.2f} | {best_part}, C {float(best_c):g} |"]
    for side in ("gleaner", "all rows"):
        if not state[side]:
            continue
        run = state[side][-1]
        median, words = spread(state[side])
        key = (part_name(run["kernel"], run["gamma"] if run["kernel"] == "rbf" else None), str(float(run["c"])))
        own = f"{100 * scores[key]:.2f}" if key in scores else "not reached"
        at_least = "" if whole else "at least "
        lines.append(f"| {n} | {'gleaner' if side == 'gleaner' else 'gleaner, all rows'} | {words} | {at_least}{peer_s / median:.1f} | "
                     f"{own} (its own folds: {100 * run['score']:.2f}) | {key[0]}, C {run['c']:g} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pools.add_options(parser, sets="cifar10", backbones="lite0")
    parser.add_argument("--sizes", default="500,2000,5000")
    parser.add_argument("--limit-s", type=float, default=240, help="no new part after so many seconds (default: %(default)s)")
    parser.add_argument("--all-rows-runs", type=int, default=3, help="repetitions of the search on all rows (default: %(default)s)")
    parser.add_argument("--bench-svm", default=BENCH_SVM, help="default: %(default)s")
    parser.add_argument("--forget", action="store_true", help="starts afresh")
    options = parser.parse_args()
    deadline = time.monotonic() + options.limit_s
    folder = pools.make_pool(options.sets, "even", options.backbones, options.pool_seed, options.cache, options.data, options.gleaner)
    program = pools.sha256_of(options.bench_svm)[:12]
    states = {}
    for n in map(int, options.sizes.split(",")):
        path = os.path.join(options.cache, "svm", f"{os.path.basename(folder)}-{n}-{program}.json")
        if options.forget and os.path.exists(path):
            os.remove(path)
        states[n] = load_state(path)
        if time.monotonic() < deadline:
            measure(options, folder, n, deadline, states[n], path)
    print(f"{len(C)} C, {len(GAMMA)} gamma, 2 kernels, 5 folds; {os.cpu_count()} cores; seconds of gleaner: median (least to most).\n")
    print("| labels | program | seconds | times faster | balanced accuracy in scikit-learn's folds, % | chosen |")
    print("| --- | --- | --- | --- | --- | --- |")
    for n, state in states.items():
        print(report(n, state))


if __name__ == "__main__":
    main()
