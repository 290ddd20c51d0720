"""A batch of 1,000 from N vectors: gleaner's whole request (labels, choice, reasons, leases, money, one transaction), and what apricot-select,
scikit-activeml and lightly-studio take to choose 1,000 indices from the same vectors, float32 in memory.

    python bench/sampler/batch_latency.py --ours BUILD/bench/bench_scale --scratch DIR --backbone B.json --real REAL.vec --n-real 3925 \\
        --sizes 10000,100000 [--cap 120] [--memory-gb 8]

One process a measurement. A peer that takes longer than --cap seconds or wants more than --memory-gb is stopped, and that is what is
reported. gleaner's figure is the median of seven batches from a published state (what a resample prepared beforehand:
its seconds are printed as well); peers prepare inside the call what they prepare.
"""
import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time

BATCH = 1000


def rows_of(path, n):
    import numpy as np

    with open(path, "rb") as f:
        header = f.read(4096)
    d, stride = int.from_bytes(header[12:16], "little"), int.from_bytes(header[16:24], "little")
    raw = np.memmap(path, np.uint8, "r", 4096)[: n * stride].reshape(n, stride)
    out = np.empty((n, d), np.float32)
    for at in range(0, n, 65536):
        out[at:at + 65536] = np.ascontiguousarray(raw[at:at + 65536, : 2 * d]).view(np.float16)
    return out


def labels_for(n):
    """200 labels of ten made-up classes; the rest unlabelled."""
    import numpy as np

    y = np.full(n, np.nan)
    known = np.arange(200) * (n // 200)
    y[known] = np.arange(200) % 10
    return y


def apricot(x):
    from apricot import FacilityLocationSelection

    return FacilityLocationSelection(BATCH, metric="cosine", optimizer="lazy").fit(x).ranking


def skactiveml(name):
    def run(x):
        from skactiveml import pool
        from skactiveml.classifier import SklearnClassifier
        from sklearn.svm import SVC

        y = labels_for(len(x))
        if name == "TypiClust":
            return pool.TypiClust(random_state=1).query(x, y, batch_size=BATCH)
        if name == "CoreSet":
            return pool.CoreSet(random_state=1).query(x, y, batch_size=BATCH)
        model = SklearnClassifier(SVC(probability=True, class_weight="balanced"), classes=list(range(10)))
        return pool.UncertaintySampling("margin_sampling", random_state=1).query(x, y, clf=model, batch_size=BATCH)

    return run


def lightly(x):
    from lightly_studio.sampling.mundig import Mundig

    mundig = Mundig()
    mundig.add_diversity(x)
    return mundig.run(BATCH)


PEERS = {
    "apricot-select facility location": apricot,
    "scikit-activeml CoreSet": skactiveml("CoreSet"),
    "scikit-activeml TypiClust": skactiveml("TypiClust"),
    "scikit-activeml margin with an SVM": skactiveml("margin"),
    "lightly-studio diversity": lightly,
}


def one_peer(name, path, n, memory_gb):
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory_gb * 2**30),) * 2)
    x = rows_of(path, n)
    start = time.perf_counter()
    chosen = PEERS[name](x)
    seconds = time.perf_counter() - start
    assert len(set(int(i) for i in chosen)) == BATCH
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(seconds, 3), "peak_mb": round(peak)}))


def run_peer(args, name, path, n):
    command = [sys.executable, __file__, "--peer", name, "--vec", str(path), "--n", str(n), "--memory-gb", str(args.memory_gb)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=args.cap)
    except subprocess.TimeoutExpired:
        return {"stopped": f"not done after {args.cap} s"}
    if run.returncode == 0:
        return json.loads(run.stdout.splitlines()[-1])
    last = (run.stderr.strip().splitlines() or [f"exit {run.returncode}"])[-1]
    return {"stopped": f"memory: {last[:120]}" if "MemoryError" in last or run.returncode < 0 else last[:160]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ours")
    p.add_argument("--scratch")
    p.add_argument("--backbone")
    p.add_argument("--real")
    p.add_argument("--n-real", type=int)
    p.add_argument("--sizes", default="10000,100000")
    p.add_argument("--cap", type=float, default=120)
    p.add_argument("--memory-gb", type=float, default=8)
    p.add_argument("--peers", default=",".join(PEERS))
    p.add_argument("--peer")
    p.add_argument("--vec")
    p.add_argument("--n", type=int)
    args = p.parse_args()
    if args.peer:
        return one_peer(args.peer, args.vec, args.n, args.memory_gb)
    for n in (int(s) for s in args.sizes.split(",")):
        run = subprocess.run([args.ours, args.scratch, args.backbone, args.real, str(args.n_real), str(n)], check=True,
                             capture_output=True, text=True)
        for line in map(json.loads, run.stdout.splitlines()):
            if line.get("batch") == BATCH or line["step"] == "cold resample":
                print(json.dumps({"n": n, "who": "gleaner", **{k: line[k] for k in line if k not in ("stages", "real")}}), flush=True)
        vec = next(pathlib.Path(args.scratch, str(n), "vectors").glob("*.vec"))
        for name in args.peers.split(","):
            print(json.dumps({"n": n, "who": name, **run_peer(args, name, vec, n)}), flush=True)


main()
