"""k-means and neighbours beside PyPI's faiss-cpu: the same vectors, threads, k and iterations, in turn in one run.

    python bench/index/peer_faiss.py --ours BUILD/bench/bench_index --vec FILE.vec --rows 10000 [--repeats 3] [--tasks kmeans,graph,lists]

FAISS gets its rows as float32 in memory, the conversion not counted; gleaner reads float16 from the mapped file. Exact graph: IndexFlatIP,
all rows as queries. Lists: IndexIVFFlat with the same number of lists; probes are doubled until a sample of 1,000 rows reaches a
recall of 0.95, which is not counted; of more than --queries rows, so many are searched and the time is scaled up.
"""
import argparse
import json
import math
import statistics
import subprocess
import time

import faiss
import numpy as np

HEADER_BYTES = 4096
K_NEIGHBOURS = 32


def rows_of(path, n):
    with open(path, "rb") as f:
        header = f.read(HEADER_BYTES)
    d, stride = int.from_bytes(header[12:16], "little"), int.from_bytes(header[16:24], "little")
    raw = np.memmap(path, np.uint8, "r", HEADER_BYTES)[: n * stride].reshape(n, stride)
    out = np.empty((n, d), np.float32)
    for at in range(0, n, 65536):
        out[at:at + 65536] = np.ascontiguousarray(raw[at:at + 65536, : 2 * d]).view(np.float16)
    return out


def ours(args, k, task, seed):
    run = subprocess.run([args.ours, args.vec, str(args.rows), str(k), "20", task, str(seed)], check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def faiss_kmeans(x, k, seed):
    km = faiss.Kmeans(x.shape[1], k, niter=20, max_points_per_centroid=128, min_points_per_centroid=1, seed=seed)
    start = time.perf_counter()
    km.train(x)
    distance, _ = km.index.search(x, 1)
    return {"seconds": time.perf_counter() - start, "inertia": float(distance.sum())}


def faiss_exact(x):
    start = time.perf_counter()
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    index.search(x, K_NEIGHBOURS + 1)
    return {"seconds": time.perf_counter() - start, "recall": 1.0}


def faiss_lists(x, n_queries):
    n, d = x.shape
    sample = np.random.default_rng(1).choice(n, min(n, 1000), replace=False)
    flat = faiss.IndexFlatIP(d)
    flat.add(x)
    exact, _ = flat.search(x[sample], K_NEIGHBOURS + 1)
    del flat
    start = time.perf_counter()
    quantizer = faiss.IndexFlatIP(d)
    index = faiss.IndexIVFFlat(quantizer, d, int(2 * math.sqrt(n)), faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.max_points_per_centroid = 10, 40
    index.train(x)
    index.add(x)
    seconds = time.perf_counter() - start
    index.nprobe = 1
    while True:
        found, _ = index.search(x[sample], K_NEIGHBOURS + 1)
        recall = float((found >= exact[:, -1:] - 1e-5).mean())
        if recall >= 0.95 or index.nprobe >= index.nlist:
            break
        index.nprobe *= 2
    queries = x if n <= n_queries else x[np.random.default_rng(2).choice(n, n_queries, replace=False)]
    start = time.perf_counter()
    index.search(queries, K_NEIGHBOURS + 1)
    seconds += (time.perf_counter() - start) * n / len(queries)
    return {"seconds": seconds, "recall": recall, "probes": index.nprobe, "queries": len(queries)}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--ours", required=True)
    p.add_argument("--vec", required=True)
    p.add_argument("--rows", type=int, required=True)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--queries", type=int, default=100000)
    p.add_argument("--tasks", default="kmeans,graph,lists")
    args = p.parse_args()
    faiss.omp_set_num_threads(args.threads)
    x = rows_of(args.vec, args.rows)
    k = max(2, round(math.sqrt(args.rows) / 2))
    for task in args.tasks.split(","):
        mine, theirs = [], []
        for i in range(args.repeats):
            mine.append(ours(args, k, task, i + 1))
            peer = {"kmeans": lambda: faiss_kmeans(x, k, i + 1), "graph": lambda: faiss_exact(x),
                    "lists": lambda: faiss_lists(x, args.queries)}[task]()
            theirs.append(peer)
        ratios = [b["seconds"] / a["seconds"] for a, b in zip(mine, theirs)]
        quality = "inertia" if task == "kmeans" else "recall"
        print(json.dumps({
            "task": task, "rows": args.rows, "k": k if task == "kmeans" else K_NEIGHBOURS, "kernels": mine[0]["kernels"],
            "gleaner_s": round(statistics.median(r["seconds"] for r in mine), 3),
            "faiss_s": round(statistics.median(r["seconds"] for r in theirs), 3),
            "ratio": round(statistics.median(ratios), 2), "ratio_min": round(min(ratios), 2), "ratio_max": round(max(ratios), 2),
            f"gleaner_{quality}": round(statistics.mean(r[quality] for r in mine), 4),
            f"faiss_{quality}": round(statistics.mean(r[quality] for r in theirs), 4),
            **({"faiss_queries": theirs[0]["queries"]} if task == "lists" else {}),
        }), flush=True)


main()
