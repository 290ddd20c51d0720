"""The classifier on more labels than a kernel matrix holds: landmarks beside the SVM on 6,144 of them, and beside scikit-learn.

    VENV/bin/python bench/sampler/svm_many.py [--sizes 10000,20000,50000] [--landmarks 2048] [--sides landmarks,exact,sklearn] [--seeds 1]

All of CIFAR-10 (pools.py, set cifar10-full): the first N images of the pool are labelled, balanced accuracy on the 10,000 test images.
Three sides in turn, each a process of its own:

    landmarks  gleaner as it comes above 10,000 labels (--exact-rows 1): search, final model on all labels, five folds, probabilities
    exact      gleaner's SVM on the kernel matrix of 6,144 of the labels: the same search and the same products of it
    sklearn    Nystroem(n_components, gamma 0.5) + LinearSVC(C 8, class_weight="balanced"), fitted once: no search, no folds, no
               probabilities; gamma and C are the best of a table on the test images of 50,000 labels, which favours it

Seconds are wall and processor time (user and system of the whole process, reading 500 MB of rows included). Peak memory of each.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np

import pools

BENCH_SVM = os.path.join(pools.ROOT, "build", "release", "bench", "bench_svm")


def balanced_accuracy(truth, predicted):
    return float(np.mean([np.mean(predicted[truth == c] == c) for c in np.unique(truth)]))


def sklearn_side(folder, n, landmarks):
    """In a process of its own: prints a line of JSON."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.svm import LinearSVC
    x, y = np.load(os.path.join(folder, "pool.npy"), mmap_mode="r")[:n], np.load(os.path.join(folder, "pool_labels.npy"))[:n]
    test, truth = np.load(os.path.join(folder, "test.npy"), mmap_mode="r"), np.load(os.path.join(folder, "test_labels.npy"))
    started = time.perf_counter()
    features = Nystroem(n_components=landmarks, gamma=0.5, random_state=1)
    z = features.fit_transform(x, y)
    model = LinearSVC(C=8, class_weight="balanced", dual=True, loss="hinge", tol=0.1, max_iter=300, random_state=1).fit(z, y)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": [seconds], "test_balanced_accuracy": balanced_accuracy(truth, model.predict(features.transform(test))),
                      "kernel": "rbf", "gamma": 0.5, "c": 8, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(done.stdout.splitlines()[-1])
    result["processor_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pools.add_options(parser, sets="cifar10-full", backbones="lite0")
    parser.add_argument("--sizes", default="10000,20000,50000")
    parser.add_argument("--landmarks", type=int, default=2048)
    parser.add_argument("--sides", default="landmarks,exact,sklearn")
    parser.add_argument("--bench-svm", default=BENCH_SVM, help="default: %(default)s")
    parser.add_argument("--sklearn-side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sklearn_side:
        sklearn_side(options.sklearn_side[0], int(options.sklearn_side[1]), options.landmarks)
        return
    folder = pools.make_pool(options.sets, "even", options.backbones, options.pool_seed, options.cache, options.data, options.gleaner)
    files = {part: os.path.join(folder, part + ".npy") for part in ("pool", "pool_labels", "test", "test_labels")}
    print("| labels | side | balanced accuracy, % | seconds | processor seconds | peak MB | model |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for n in map(int, options.sizes.split(",")):
        for side in options.sides.split(","):
            if side == "sklearn":
                result = run([sys.executable, os.path.realpath(__file__), "--landmarks", str(options.landmarks), "--sklearn-side", folder, str(n)])
            else:
                result = run([options.bench_svm, files["pool"], files["pool_labels"], str(n), "--landmarks", str(options.landmarks),
                              "--exact-rows", "1" if side == "landmarks" else "1000000", "--test", files["test"], files["test_labels"]])
            model = f"{result['kernel']}, C {result['c']:g}" + (f", gamma {result['gamma']:g}" if result["kernel"] == "rbf" else "")
            print(f"| {n} | {side} | {100 * result['test_balanced_accuracy']:.2f} | {result['seconds'][0]:.1f} | {result['processor_s']:.0f} | "
                  f"{result['peak_mb']:.0f} | {model} |", flush=True)


if __name__ == "__main__":
    main()
