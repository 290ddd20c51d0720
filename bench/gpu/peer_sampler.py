"""The jobs of bench_gpu_sampler with PyTorch, on the same rows, for comparison; and whether both find the same.

    peer_sampler.py neighbours FILE N D K [RESULT]
    peer_sampler.py kmeans FILE N D K ITERATIONS [RESULT]
    peer_sampler.py svm FILE N D SUPPORT CLASSES [RESULT]

RESULT is what bench_gpu_sampler wrote. As one would write it: rows go to the GPU once, products are float16 tiles with float32 sums inside
cuBLAS, results in float32 where a distance or kernel is made of them. DEVICE=cpu runs it on the CPU, for a look at whether it runs. RUNS as there.
Prints one line of JSON a job.
"""

import json
import os
import sys
import time

import numpy as np
import torch

DEVICE = os.environ.get("DEVICE", "cuda")
RUNS = int(os.environ.get("RUNS", "3"))
TILE = int(os.environ.get("PEER_TILE", "8192"))


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def timed(work):
    seconds, result = [], None
    for _ in range(RUNS + 1):  # the first is to warm up
        wait()
        start = time.monotonic()
        result = work()
        wait()
        seconds.append(time.monotonic() - start)
    return sorted(seconds[1:]), result


def load(rows):
    """Rows on the device, through pinned memory as PyTorch does it."""
    return torch.from_numpy(rows).to(DEVICE, non_blocking=True)


def product(x, y):
    """float32 inner products of float16 rows."""
    if DEVICE == "cpu":
        return x.float() @ y.float().T
    try:
        return torch.mm(x, y.T, out_dtype=torch.float32)
    except TypeError:  # an older PyTorch: the product comes out in float16
        return (x @ y.T).float()


def neighbours(rows, k):
    x = load(rows)
    n = len(x)
    index = torch.empty((n, k), dtype=torch.int64, device=DEVICE)
    for first in range(0, n, TILE):
        queries = x[first : first + TILE]
        best_s, best_i = None, None
        for at in range(0, n, 4 * TILE):
            g = product(queries, x[at : at + 4 * TILE])
            own = torch.arange(first, first + len(queries), device=DEVICE) - at
            inside = (own >= 0) & (own < g.shape[1])
            g[inside.nonzero(as_tuple=True)[0], own[inside]] = -torch.inf
            s, i = torch.topk(g, min(k, g.shape[1]), dim=1)
            i += at
            if best_s is not None:
                s, i = torch.cat((best_s, s), 1), torch.cat((best_i, i), 1)
                s, order = torch.topk(s, min(k, s.shape[1]), dim=1)
                i = torch.gather(i, 1, order)
            best_s, best_i = s, i
        index[first : first + TILE] = best_i
    return index.to("cpu")


def assign(x, centroid):
    half = centroid.half()
    square = half.float().square().sum(1)
    cluster = torch.empty(len(x), dtype=torch.int64, device=DEVICE)
    for first in range(0, len(x), TILE):
        cluster[first : first + TILE] = torch.argmin(square - 2 * product(x[first : first + TILE], half), dim=1)
    return cluster


def kmeans(rows, k, iterations):
    x = load(rows)
    centroid = x[:k].float()
    for _ in range(iterations):
        cluster = assign(x, centroid)
        total = torch.zeros_like(centroid)
        for first in range(0, len(x), 16 * TILE):
            total.index_add_(0, cluster[first : first + 16 * TILE], x[first : first + 16 * TILE].float())
        size = torch.bincount(cluster, minlength=k)
        some = size > 0
        centroid[some] = total[some] / size[some, None]
    return assign(x, centroid).to("cpu"), centroid.to("cpu")


def machine(n_support, n_classes):
    """coefficient [support vectors, pairs], as bench/gpu/sampler.c makes them."""
    edge = [c * n_support // n_classes for c in range(n_classes + 1)]
    coefficient = np.zeros((n_support, n_classes * (n_classes - 1) // 2))
    pair = 0
    for a in range(n_classes):
        for b in range(a + 1, n_classes):
            for own, other in ((a, b - 1), (b, a)):
                support = np.arange(edge[own], edge[own + 1])
                coefficient[support, pair] = np.sin(0.37 * support + 1.7 * other)
            pair += 1
    return coefficient.astype(np.float32)


def svm(rows, coefficient):
    x = load(rows)
    support = x[: len(coefficient)]
    weight = torch.from_numpy(coefficient).to(DEVICE)
    support_sq = support.float().square().sum(1)
    out = torch.empty((len(x), weight.shape[1]), device=DEVICE)
    for first in range(0, len(x), TILE):
        part = x[first : first + TILE]
        l2_sq = part.float().square().sum(1)[:, None] + support_sq - 2 * product(part, support)
        out[first : first + TILE] = torch.exp(-2 * l2_sq.clamp_min_(0)) @ weight
    return out.to("cpu")


def main():
    job, path, n, d, k = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    extra = int(sys.argv[6]) if job != "neighbours" else 0
    given = sys.argv[6 if job == "neighbours" else 7 :]
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    rows = np.array(np.memmap(path, np.float16, "r", shape=(n, d)))
    agree = None
    if job == "neighbours":
        seconds, found = timed(lambda: neighbours(rows, k))
        if given:
            ours = np.fromfile(given[0], np.uint32).reshape(n, k)
            agree = float(np.mean([len(set(a) & set(b)) / k for a, b in zip(ours[:2000].tolist(), found[:2000].tolist())]))
    elif job == "kmeans":
        seconds, (cluster, centroid) = timed(lambda: kmeans(rows, k, extra))
        if given:
            agree = float(np.mean(np.fromfile(given[0], np.uint32) == cluster.numpy()))
    elif job == "svm":
        coefficient = machine(k, extra)
        seconds, found = timed(lambda: svm(rows, coefficient))
        if given:
            ours = np.fromfile(given[0], np.float32).reshape(n, -1)
            agree = float(np.abs(ours - found.numpy()).max())  # here: the largest difference
    else:
        sys.exit(f"peer_sampler.py: no job {job}")
    print(json.dumps({"peer": "torch " + torch.__version__, "job": job, "n": n, "d": d, "k": k, "extra": extra, "runs": RUNS,
                      "seconds": seconds[len(seconds) // 2], "fastest_s": seconds[0], "slowest_s": seconds[-1], "agreement": agree}))


if __name__ == "__main__":
    main()
