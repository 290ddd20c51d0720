"""Drift, label checks, forecasts and proposed labels on photos of known classes, with cleanlab beside the label checks.

    python3 bench/insight/measure.py --build build/release --backbone M.json --photos imagenette=FOLDER [--photos cifar=FOLDER ...]
                             [--only forecast,labels,drift,proposals] [--seeds 3] [--first-seed 1] [--draws 20] [--data DIR]

A folder's sub-folders are the classes. Photos are embedded once (--data keeps them for the next time). Each measurement is
explained at the head of its file: forecast.c, labels.c, drift.c, proposals.c, peer_label_checks.py beside it. Drift has
--draws draws for each seed. cleanlab runs where it is installed (bench/requirements-insight.txt). Prints tables; all raw lines
go to DIR/insight.jsonl.
"""

import argparse
import collections
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = [60, 100, 150, 250, 400, 700, 1200]
WORTH = 0.02  # a step is worth it when it brings two points
N_LABELS = 1000
N_REFERENCE, N_ARRIVALS = 2000, 300
N_AUDITS = 200


def mean(values):
    return statistics.mean(values) if values else float("nan")


class Bench:
    def __init__(self, options):
        self.options = options
        self.seeds = range(options.first_seed, options.first_seed + options.seeds)
        self.raw = open(os.path.join(options.data, "insight.jsonl"), "a", encoding="utf-8")
        self.pools = {}
        for i, spec in enumerate(options.photos, 1):
            name, _, folder = spec.partition("=")
            self.pools[name] = self.embed(name, folder, i)

    def embed(self, name, folder, number):
        gleaner = os.path.join(self.options.build, "cli", "gleaner")
        classes = os.path.join(self.options.data, f"{name}.classes")
        pool = os.path.join(self.options.data, "pool")
        if not os.path.exists(classes):
            subprocess.run([gleaner, "init", "--data", pool, "--backbone", self.options.backbone, "--project", name], check=True,
                           stdout=subprocess.DEVNULL)
            subprocess.run([gleaner, "ingest", "--data", pool, "--project", name, "--quiet", folder], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([sys.executable, os.path.join(HERE, "classes_of.py"), pool, name, classes], check=True)
        backbone = os.path.splitext(os.path.basename(self.options.backbone))[0]
        return os.path.join(pool, "vectors", f"{number}-{backbone}.vec"), classes

    def measure(self, name, *arguments):
        command = [os.path.join(self.options.build, "bench", "bench_insight"), *self.pools[name], *map(str, arguments)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        for row in rows:
            self.raw.write(json.dumps({"pool": name, "arguments": arguments, **row}) + "\n")
        self.raw.flush()
        return rows

    def forecast(self):
        print(f"# forecasts of the steps {SIZES}: mean absolute error in points of balanced accuracy; how often \"worth it\" (2 points) was right")
        print("| pool | labels | steps | came | foretold | error | no change | straight line | in the 80% interval | right | no change | line |")
        for name in self.pools:
            for mode in ("random", "chosen"):
                rows = [row for seed in self.seeds for row in self.measure(name, "forecast", mode, seed, WORTH, *SIZES)]

                def error(of):
                    return 100 * mean([abs(of(row) - row["came"]) for row in rows])

                def right(of):
                    return 100 * mean([of(row) == (row["came"] >= WORTH) for row in rows])

                print(f"| {name} | {mode} | {len(rows)} | {100 * mean([r['came'] for r in rows]):.2f} | "
                      f"{100 * mean([r['foretold'] for r in rows]):.2f} | {error(lambda r: r['foretold']):.2f} | {error(lambda r: 0):.2f} | "
                      f"{error(lambda r: r['line']):.2f} | {100 * mean([r['low'] <= r['came'] <= r['high'] for r in rows]):.0f}% | "
                      f"{right(lambda r: r['p_worth'] >= 0.5):.0f}% | {right(lambda r: False):.0f}% | {right(lambda r: r['line'] >= WORTH):.0f}% |")

    def labels(self):
        peer = importlib.util.find_spec("cleanlab") is not None
        print(f"# label checks, {N_LABELS} labels: precision / recall / F1 / average precision")
        for name in self.pools:
            for share in (0.1, 0.3):
                for kind in ("symmetric", "similar"):
                    dumps = []
                    for seed in self.seeds:
                        dumps.append(os.path.join(self.options.data, f"{name}-{share}-{kind}-{seed}.dump"))
                        ours = self.measure(name, "labels", N_LABELS, share, kind, seed, dumps[-1])
                    if not peer:
                        print(name, share, kind, ours)
                        continue
                    done = subprocess.run([sys.executable, os.path.join(HERE, "peer_label_checks.py"), *dumps], check=True,
                                          capture_output=True, text=True)
                    sides = collections.defaultdict(list)
                    for line in done.stdout.splitlines():
                        self.raw.write(line + "\n")
                        for side, row in json.loads(line).items():
                            if isinstance(row, dict):
                                sides[side].append(row)
                    cells = [" / ".join(f"{mean([r[m] for r in rows]):.3f}" for m in ("precision", "recall", "f1", "average_precision"))
                             for rows in sides.values()]
                    print(f"| {name} | {share:.0%} {kind} | " + " | ".join(cells) + " |", flush=True)
                    for dump in dumps:
                        os.remove(dump)

    def drift(self):
        print(f"# drift: {N_REFERENCE} reference images, {N_ARRIVALS} arrivals; share of a class not seen before -> found at 1%, at 5%")
        for name in self.pools:
            for share in (0, 0.02, 0.05, 0.1):
                total = collections.Counter()
                for seed in self.seeds:
                    total.update(self.measure(name, "drift", N_REFERENCE, N_ARRIVALS, self.options.draws, share, 1000 * (seed - 1) + 1)[0])
                n = total["draws"]
                print(f"| {name} | {share:.0%} | {n} draws | {total['found_1'] / n:.1%} | {total['found_5'] / n:.1%} | by neighbours {total['neighbours']}, "
                      f"clusters {total['clusters']}, components {total['components']}, scores {total['scores']}, right cluster first "
                      f"{total['named']} |", flush=True)

    def proposals(self):
        print(f"# proposed labels, each audited {N_AUDITS} times: share that passed, that passed though more than the bound was wrong; of what was")
        print("# accepted: wrong, share of the images without a label, labels by a person for each")
        for name in self.pools:
            for labels, bound in ((60, 0.05), (200, 0.05), (200, 0.1)):
                of_kind = collections.defaultdict(list)
                for seed in self.seeds:
                    for row in self.measure(name, "proposals", labels, bound, N_AUDITS, seed):
                        of_kind[row["kind"]].append(row)
                for kind, rows in of_kind.items():
                    n, passed, bad, looked, accepted, wrong = (sum(row[of] for row in rows) for of in
                                                               ("audits", "passed", "bad", "looked", "accepted", "wrong"))
                    if n == 0:
                        continue
                    print(f"| {name}, {labels} | {bound:.0%} | {kind} | {n:,} | {passed / n:.1%} | {bad / n:.1%} | "
                          f"{f'{wrong / accepted:.2%}' if accepted else ''} | {mean([row['saved_share'] for row in rows]):.1%} | "
                          f"{f'{looked / accepted:.2f}' if accepted else ''} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--backbone", required=True, help="manifest of the backbone")
    parser.add_argument("--photos", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--only", default="forecast,labels,drift,proposals")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="they are this one and those after it (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=20, help="of drift, for each seed (default: %(default)s)")
    parser.add_argument("--data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gleaner-insight-") as scratch:
        options.data = options.data or scratch
        bench = Bench(options)
        for name in options.only.split(","):
            getattr(bench, name)()


if __name__ == "__main__":
    main()
