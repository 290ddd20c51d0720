"""Label efficiency and balance of gleaner's selection beside seven baselines: markdown tables for each set, pool and backbone.

    VENV/bin/python bench/sampler/label_efficiency.py [--sets imagenette] [--shapes tail] [--seeds 10] [--ours build/release/bench/bench_curve]

Pools: pools.py. Baselines and the head that judges all methods: baselines.py. Gleaner: curve.c, run with the same seeds and budgets.
Balanced accuracy of the head, trained on what was chosen so far, on the fixed balanced test split. Differences are paired by seed;
+- is a standard deviation over seeds in the tables of values, a standard error in the tables of differences.

Baselines are cached under --cache by pool, method, seed and their version, gleaner by the hash of its program: after a change of the
algorithm only gleaner is played again. --ours takes several programs, as name=path,name=path: an ablation in one table.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # one process a core is faster than one loop on all of them
    os.environ.setdefault(variable, "1")

import argparse
import concurrent.futures
import hashlib
import json
import math
import multiprocessing
import statistics
import subprocess
import sys
import time

import numpy as np
from sklearn.metrics import balanced_accuracy_score

import baselines
import pools

BUDGETS = [10, 20, 50, 100, 200, 500]
# More points on random's curve, for "labels that random needs".
RANDOM_BUDGETS = [15, 30, 70, 150, 300, 700, 1000, 1500, 2000]
ALL_LABELS_UP_TO = 4000  # the head on the whole pool only up to this size
SCORE_VERSION = 1


# ---- scores ----------------------------------------------------------------------------------------------------------------


def load(folder):
    arrays = [np.load(os.path.join(folder, name + ".npy")) for name in ("pool", "pool_labels", "test", "test_labels")]
    with open(os.path.join(folder, "pool.json"), encoding="utf-8") as file:
        return (*arrays, json.load(file))


def entropy(counts):
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / math.log(len(counts)))


def score(chosen, x, y, x_test, y_test, n_classes):
    counts = np.bincount(y[chosen], minlength=n_classes)
    if np.sum(counts > 0) < 2:
        predicted = np.full(len(y_test), np.argmax(counts))
    else:
        predicted = baselines.Head().fit(x[chosen], y[chosen]).predict(x_test)
    return {"accuracy": 100.0 * float(balanced_accuracy_score(y_test, predicted)), "entropy": entropy(counts),
            "smallest": 100.0 * float(counts.min() / counts.sum()), "missing": int(np.sum(counts == 0))}


def result_path(cache, folder, method, seed, detail):
    key = hashlib.sha256(repr((detail, BUDGETS, RANDOM_BUDGETS, SCORE_VERSION, baselines.GAMMA, baselines.C)).encode()).hexdigest()
    return os.path.join(cache, "results", f"v{pools.VERSION}", os.path.basename(folder), f"{method}-{seed}-{key[:12]}.json")


def save(path, order, seconds, points):
    text = json.dumps({"order": [int(i) for i in order], "seconds": seconds, "points": points})
    pools.write_whole(path, lambda file: file.write(text.encode()))


def points_of(order, method, x, y, x_test, y_test, n_classes):
    budgets = sorted(set(BUDGETS + RANDOM_BUDGETS)) if method == "random" else BUDGETS
    return {str(b): score(order[:b], x, y, x_test, y_test, n_classes) for b in budgets if b <= len(order)}


def run_baseline(folder, method, seed, path):
    x, y, x_test, y_test, about = load(folder)
    budgets = BUDGETS if method != "random" else sorted(BUDGETS + RANDOM_BUDGETS)
    budgets = [b for b in budgets if b <= len(x)]
    started = time.perf_counter()
    order = baselines.METHODS[method](x, y, len(about["classes"]), budgets, seed)
    seconds = time.perf_counter() - started
    save(path, order, seconds, points_of(order, method, x, y, x_test, y_test, len(about["classes"])))


def run_all_labels(folder, path):
    x, y, x_test, y_test, about = load(folder)
    save(path, [], 0.0, {"all": score(np.arange(len(x)), x, y, x_test, y_test, len(about["classes"]))})


def score_ours(folder, order, seconds, path):
    x, y, x_test, y_test, about = load(folder)
    save(path, order, seconds, points_of(order, "gleaner", x, y, x_test, y_test, len(about["classes"])))


def play_ours(program, folder, seeds):
    """{seed: (order, seconds)} of gleaner itself."""
    done = subprocess.run([program, folder, "--json", "--seeds", ",".join(map(str, seeds)), "--budgets", ",".join(map(str, BUDGETS))],
                          check=True, capture_output=True, text=True)
    played = {}
    for line in done.stdout.splitlines():
        seed = json.loads(line)
        played[seed["seed"]] = (seed["selected"], sum(r["classifier_s"] + r["select_s"] for r in seed["rounds"]))
    return played


def run_pool(folder, options, ours, workers):
    """{method: [result of each seed]} with the cache's help; `ours` [(name, program, hash)]."""
    seeds = list(range(1, options.seeds + 1))
    methods = [m for m in baselines.METHODS if options.methods is None or m in options.methods.split(",") or m == "random"]
    paths = {m: [result_path(options.cache, folder, m, s, (m, baselines.VERSION)) for s in seeds] for m in methods}
    jobs = [workers.submit(run_baseline, folder, m, s, p) for m in methods for s, p in zip(seeds, paths[m]) if not os.path.exists(p)]
    for name, program, digest in ours:
        paths[name] = [result_path(options.cache, folder, "gleaner", s, digest) for s in seeds]
        left = {s: p for s, p in zip(seeds, paths[name]) if not os.path.exists(p)}
        for seed, (order, seconds) in (play_ours(program, folder, left) if left else {}).items():
            jobs.append(workers.submit(score_ours, folder, order, seconds, left[seed]))
    with open(os.path.join(folder, "pool.json"), encoding="utf-8") as file:
        about = json.load(file)
    if about["pool"] <= ALL_LABELS_UP_TO:
        paths["all labels"] = [result_path(options.cache, folder, "all", 0, "all")]
        if not os.path.exists(paths["all labels"][0]):
            jobs.append(workers.submit(run_all_labels, folder, paths["all labels"][0]))
    for job in jobs:
        job.result()
    results = {}
    for method, files in paths.items():
        results[method] = []
        for path in files:
            with open(path, encoding="utf-8") as file:
                results[method].append(json.load(file))
    return results, about


# ---- tables ----------------------------------------------------------------------------------------------------------------


def values(results, method, budget, what="accuracy"):
    return [r["points"][str(budget)][what] for r in results[method]]


def mean_sd(numbers):
    return statistics.mean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else 0.0


def paired(a, b):
    """Mean difference and its standard error."""
    mean, sd = mean_sd([p - q for p, q in zip(a, b)])
    return mean, sd / math.sqrt(len(a))


def random_needs(results, accuracy):
    """Labels at which random's mean curve reaches an accuracy: between its points linear in the logarithm of labels."""
    curve = sorted((int(b), statistics.mean(values(results, "random", b))) for b in results["random"][0]["points"])
    best_n, best = curve[0]
    if accuracy <= best:
        return f"<= {best_n}"
    for n, value in curve[1:]:
        if value >= accuracy:
            share = (accuracy - best) / (value - best)
            return f"{math.exp(math.log(best_n) + share * math.log(n / best_n)):.0f}"
        if value > best:
            best_n, best = n, value
    return f"> {curve[-1][0]}"


def row(cells):
    print("| " + " | ".join(cells) + " |")


def table(head, rows):
    row(head)
    row(["---"] * len(head))
    for cells in rows:
        row(cells)
    print()


def print_tables(name, shape, backbone, results, about, ours):
    budgets = [b for b in BUDGETS if b <= about["pool"]]
    methods = [m for m in results if m != "all labels"]
    rivals = [m for m in methods if m in baselines.METHODS and m != "random"]
    everything = f"; all labels: {results['all labels'][0]['points']['all']['accuracy']:.1f}" if "all labels" in results else ""
    n_seeds = len(results["random"])
    print(f"## {name}, {shape}, {backbone}\n")
    print(f"{about['pool']} in the pool ({', '.join(map(str, sorted(about['pool_counts'], reverse=True)))}), {about['test']} in the test, "
          f"{n_seeds} seeds{everything}.\n")
    print("A. Balanced accuracy after so many labels, mean +- standard deviation over seeds:\n")
    head = ["method"] + [str(b) for b in budgets]
    table(head, [[m] + ["{:.1f} +- {:.1f}".format(*mean_sd(values(results, m, b))) for b in budgets] for m in methods])
    print("Difference to random, paired by seed, +- standard error:\n")
    table(head, [[m] + ["{:+.1f} +- {:.1f}".format(*paired(values(results, m, b), values(results, "random", b))) for b in budgets]
                 for m in methods if m != "random"])
    print("Labels that random needs for the same accuracy:\n")
    table(head, [[m] + [random_needs(results, statistics.mean(values(results, m, b))) for b in budgets]
                 for m in methods if m != "random"])
    print("B. Balance of what was chosen: normalised entropy / share of the smallest class in % / classes missing, means:\n")
    table(head, [[m] + ["{:.3f} / {:.1f} / {:.1f}".format(*(statistics.mean(values(results, m, b, what))
                                                            for what in ("entropy", "smallest", "missing"))) for b in budgets]
                 for m in methods])
    for own, _, _ in ours:
        for b in budgets:
            if not rivals:
                continue
            best = max(rivals + ["random"], key=lambda m: statistics.mean(values(results, m, b)))
            difference, error = paired(values(results, own, b), values(results, best, b))
            in_errors = f", {difference / error:+.1f} standard errors" if error > 0 else ""
            print(f"- {own} at {b}: {statistics.mean(values(results, own, b)):.1f}; best baseline {best} "
                  f"{statistics.mean(values(results, best, b)):.1f}; {difference:+.1f} points{in_errors}")
        print()
    seconds = ", ".join(f"{m} {statistics.mean([r['seconds'] for r in results[m]]):.2g}" for m in methods)
    code = ", ".join(f"{m}: {baselines.origin(m, about['pool'])}" for m in methods if m in baselines.METHODS)
    print(f"Seconds to choose, one seed, all rounds (two at a time on a shared machine, no comparison): {seconds}.")
    print(f"Code: {code}.\n", flush=True)


def read_ours(text):
    ours = []
    for part in text.split(","):
        name, _, program = part.rpartition("=")
        if not os.path.exists(program):
            sys.exit(f"{program} is not there: build it, or name one with --ours")
        ours.append((name or "gleaner", program, pools.sha256_of(program)))
    return ours


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pools.add_options(parser)
    parser.add_argument("--seeds", type=int, default=10, help="seeds 1 to N (default: %(default)s)")
    parser.add_argument("--methods", help="baselines, by comma; random is always one (default: all)")
    parser.add_argument("--ours", default=os.path.join(pools.ROOT, "build", "release", "bench", "bench_curve"),
                        help="bench_curve, or name=path,name=path (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    ours = read_ours(options.ours)
    # Spawned: a fork of a process with BLAS threads may hang.
    with concurrent.futures.ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as workers:
        for name, shape, backbone, folder in pools.each_pool(options):
            results, about = run_pool(folder, options, ours, workers)
            print_tables(name, shape, backbone, results, about, ours)


if __name__ == "__main__":
    main()
