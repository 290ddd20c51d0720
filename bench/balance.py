"""Class coverage and balance of batches of 100 against 100 random picks, ten seeds, on photos whose folders are their classes.

    python3 bench/balance.py --gleaner build/release/cli/gleaner --backbone M.json [--photos /usr/share/tuxpaint/stamps]

Cold: a batch of 100 with no label at all. Warm: a cold batch of 60, labelled by folder name, a resample, then a batch of 100.
Total: both together, 160 labels, beside 160 random picks.
Random: as many of the same pool, drawn without replacement. Entropy is normalised by the classes of the pool: 1 is balanced.
Prints a table and one line of JSON.
"""

import argparse
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import tempfile

SEEDS = range(1, 11)
SIZE = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gleaner", required=True)
    parser.add_argument("--backbone", required=True, help="manifest of the backbone")
    parser.add_argument("--photos", default="/usr/share/tuxpaint/stamps")
    options = parser.parse_args()
    root = os.path.realpath(options.photos)
    scratch = tempfile.mkdtemp(prefix="gleaner-balance-")

    def gleaner(data, command, *arguments):
        done = subprocess.run([options.gleaner, command, "--data", data, *map(str, arguments)], check=True,
                              capture_output=True, text=True)
        return done.stdout

    def class_of(path):
        return os.path.relpath(path, root).split(os.sep)[0]

    def batch(data, seed, size=SIZE):
        return json.loads(gleaner(data, "batch", "--size", size, "--seed", seed, "--json"))

    try:
        data = os.path.join(scratch, "data")
        gleaner(data, "init", "--backbone", options.backbone, "--project", "p")
        gleaner(data, "ingest", "--quiet", root)
        gleaner(data, "resample", "--quiet")
        everything = [class_of(item["path"]) for item in batch(data, 1, 100000)["items"]]
        gleaner(data, "batch", "--release", 1)
        classes = sorted(set(everything))

        def measure(chosen):
            counts = [chosen.count(c) for c in classes]
            total = sum(counts)
            entropy = -sum(n / total * math.log(n / total) for n in counts if n) / math.log(len(classes))
            return sum(n > 0 for n in counts), entropy

        rows = {"random": [], "cold": [], "warm": [], "random 160": [], "total 160": []}
        for seed in SEEDS:
            rows["random"].append(measure(random.Random(seed).sample(everything, SIZE)))
            rows["random 160"].append(measure(random.Random(seed).sample(everything, SIZE + 60)))
            cold = batch(data, seed)
            rows["cold"].append(measure([class_of(i["path"]) for i in cold["items"]]))
            gleaner(data, "batch", "--release", cold["id"])
            warm = os.path.join(scratch, "warm")
            shutil.copytree(data, warm)
            gleaner(warm, "init", "--project", "p", "--classes", ",".join(classes))
            first = batch(warm, seed, 60)
            gleaner(warm, "label", "--batch", first["id"], "--folders", "--root", root, "--source", "simulated")
            gleaner(warm, "resample", "--quiet", "--seed", seed)
            chosen = [class_of(i["path"]) for i in batch(warm, seed)["items"]]
            rows["warm"].append(measure(chosen))
            rows["total 160"].append(measure(chosen + [class_of(i["path"]) for i in first["items"]]))
            shutil.rmtree(warm)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

    print(f"{len(everything)} images in {len(classes)} classes; {SIZE} chosen, {len(SEEDS)} seeds (mean +- standard deviation)")
    result = {"images": len(everything), "classes": len(classes), "size": SIZE, "pool_entropy": round(measure(everything)[1], 3)}
    for name, values in rows.items():
        coverage, entropy = zip(*values)
        result[name] = {"coverage": round(statistics.mean(coverage), 2), "entropy": round(statistics.mean(entropy), 3),
                        "entropy_sd": round(statistics.stdev(entropy), 3)}
        print(f"{name:10} {statistics.mean(coverage):5.1f} +- {statistics.stdev(coverage):.1f} of {len(classes)} classes, "
              f"entropy {statistics.mean(entropy):.3f} +- {statistics.stdev(entropy):.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
