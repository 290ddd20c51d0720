"""Pools of labelled photos for measuring the sampler: embeddings by gleaner itself, a pool, and a balanced test split.

    python3 bench/sampler/pools.py [--sets imagenette,flowers,cifar10] [--backbones lite0,mobilenet] [--gleaner BINARY]

A set is a tar of photos in class folders under GLN_TEST_DATA/photos (default: shared/data beside the project); one that is missing is skipped by name.
Every set gives two pools with one test split (the same number of every class, never in a pool):

    even   all that is left, as it is
    tail   imbalance 50:1: class i of C, in the order of a seeded shuffle, keeps n_max * 50^(-i / (C - 1)) images

cifar10 is 1,000 images a class of its training split for the pool and 200 a class of its test split; cifar10-full is all of both.
Everything is cached (--cache, default $XDG_CACHE_HOME/gleaner/bench): photos/, embeddings/, and pools/<set>-<shape>-<backbone>-p<seed>/
with pool.npy, test.npy [n, d] f32, pool_labels.npy, test_labels.npy [n] i32 and pool.json (class names, counts, paths).
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import tarfile
import tempfile

import numpy as np

VERSION = 1  # of the pools: raise it when a pool of the same name would hold other images
IMBALANCE = 50
SHAPES = ("even", "tail")
ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "gleaner", "bench")
DEPS = os.environ.get("GLN_DEPS") or os.path.join(os.path.dirname(CACHE), "deps")
DATA = os.environ.get("GLN_TEST_DATA") or os.path.join(ROOT, "..", "shared", "data")
GLEANER = os.path.join(ROOT, "build", "release", "cli", "gleaner")

# name: tar, photos a class from which folder go to the pool and to the test (None: all); one folder for both: split 70 / 30.
SETS = {
    "imagenette": {"tar": "imagenette-val.tar", "both": "val"},
    "flowers": {"tar": "flowers.tar", "both": "flowers/flowers"},
    "cifar10": {"tar": "cifar10.tar", "pool": ("train", 1000), "test": ("test", 200)},
    "cifar10-full": {"tar": "cifar10.tar", "pool": ("train", None), "test": ("test", None)},
}
TEST_SHARE = 0.3

BACKBONES = {
    "lite0": {"manifest": os.path.join(DEPS, "backbones", "efficientnet-lite0.json")},
    # Not in backbones/: a second opinion for measurements. Inputs as its model's own documentation has them.
    "mobilenet": {"model": "mobilenet_v2_1.0_224_tf2.onnx", "dimension": 1280},
    "vit": {"model": "vit_tiny_patch16_224.onnx", "dimension": 192},
}


class Missing(Exception):
    """A file of the set or the backbone is not there; the message names it."""


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_whole(path, write):
    """Writes beside `path` and renames, so that a file that exists is complete."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = f"{path}.{os.getpid()}.part"
    with open(partial, "wb") as file:
        write(file)
    os.replace(partial, path)


def manifest_of(backbone, cache=CACHE, data=DATA):
    spec = BACKBONES[backbone]
    if "manifest" in spec:
        if not os.path.exists(spec["manifest"]):
            raise Missing(f"{backbone}: {spec['manifest']} is not there; `make setup` imports it")
        return spec["manifest"]
    source = os.path.join(data, "models", spec["model"])
    if not os.path.exists(source):
        raise Missing(f"{backbone}: {source} is not there")
    folder = os.path.join(cache, "backbones")
    path = os.path.join(folder, f"{backbone}.json")
    if os.path.exists(path) and os.path.exists(os.path.join(folder, spec["model"])):
        return path
    os.makedirs(folder, exist_ok=True)
    shutil.copyfile(source, os.path.join(folder, spec["model"]))
    manifest = {
        "name": backbone, "model": spec["model"], "sha256": sha256_of(source),
        "input": {"side": 224, "resize": {"filter": "bilinear", "mode": "stretch", "scale": 1.0},
                  "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        "output": "embedding", "dimension": spec["dimension"], "licence": "as the model's", "source": spec["model"],
    }
    write_whole(path, lambda file: file.write(json.dumps(manifest, indent=2).encode()))
    return path


def unpack(name, cache=CACHE, data=DATA):
    """The set's photos as a folder, unpacked once; of a set that is a part only that part."""
    spec = SETS[name]
    tar_path = os.path.join(data, "photos", spec["tar"])
    folder = os.path.join(cache, "photos", name)
    if os.path.isdir(folder):
        return folder
    if not os.path.exists(tar_path):
        raise Missing(f"{name}: {tar_path} is not there")
    partial = f"{folder}.{os.getpid()}.part"
    os.makedirs(partial)
    with tarfile.open(tar_path) as tar:
        members = [m for m in tar.getmembers() if m.isfile()]
        if "pool" in spec:
            by_class = {}
            for member in members:
                by_class.setdefault(os.path.dirname(member.name), []).append(member)
            members = []
            for split in ("pool", "test"):
                top, most = spec[split]
                for folder_name in sorted(c for c in by_class if c.split("/")[0] == top):
                    of_class = sorted(by_class[folder_name], key=lambda m: m.name)
                    random.Random(f"{name} {folder_name}").shuffle(of_class)
                    members += of_class[:most]
        tar.extractall(partial, members=members, filter="data")
    os.rename(partial, folder)
    return folder


def read_vectors(data, root):
    """Paths below `root` (sorted; of equal files the first), and their rows, from a data directory of gleaner."""
    database = sqlite3.connect(f"file:{os.path.join(data, 'gleaner.db')}?mode=ro", uri=True)
    named = database.execute("SELECT n.path, i.vector_row FROM image_name n JOIN image i ON i.id = n.image_id "
                             "ORDER BY n.path").fetchall()
    database.close()
    vectors = os.path.join(data, "vectors")
    path = os.path.join(vectors, next(f for f in os.listdir(vectors) if f.endswith(".vec")))
    with open(path, "rb") as file:  # the layout: index/vectors.h
        magic, _, d, stride = struct.unpack("<8sIIQ", file.read(24))
    if magic != b"GLNVEC1\0":
        raise ValueError(f"{path} is no vectors file that this program knows")
    rows = np.memmap(path, np.uint8, "r", offset=4096)
    rows = rows[:len(rows) // stride * stride].reshape(-1, stride)[:, :2 * d].copy().view(np.float16)
    seen, paths, picked = set(), [], []
    for name, row in named:
        if row not in seen:
            seen.add(row)
            paths.append(os.path.relpath(name, root))
            picked.append(row)
    return paths, rows[picked].astype(np.float32)


def embed(name, backbone, cache=CACHE, data=DATA, gleaner=GLEANER):
    """(paths, embeddings [n, d]) of all photos of a set."""
    manifest = manifest_of(backbone, cache, data)
    base = os.path.join(cache, "embeddings", f"{name}-{backbone}-{sha256_of(manifest)[:8]}")
    if not os.path.exists(base + ".json"):
        photos = os.path.realpath(unpack(name, cache, data))
        scratch = tempfile.mkdtemp(prefix="embed-", dir=cache)
        try:
            subprocess.run([gleaner, "init", "--data", scratch, "--backbone", manifest, "--project", "p"], check=True,
                           stdout=subprocess.DEVNULL)
            subprocess.run([gleaner, "ingest", "--quiet", "--data", scratch, photos], check=True, stdout=subprocess.DEVNULL)
            paths, rows = read_vectors(scratch, photos)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        write_whole(base + ".npy", lambda file: np.save(file, rows))
        write_whole(base + ".json", lambda file: file.write(json.dumps(paths).encode()))
    with open(base + ".json", encoding="utf-8") as file:
        return json.load(file), np.load(base + ".npy", mmap_mode="r")


def split(name, paths, seed):
    """(pool, test, class names, class of every path): the test holds the same number of every class."""
    spec = SETS[name]
    parts = [p.split(os.sep) for p in paths]
    classes = sorted({p[-2] for p in parts})
    label = np.array([classes.index(p[-2]) for p in parts], np.int32)
    if "pool" in spec:
        is_test = np.array([p[0] == spec["test"][0] for p in parts])
        return np.flatnonzero(~is_test), np.flatnonzero(is_test), classes, label
    rng = np.random.default_rng(seed)
    n_test = int(TEST_SHARE * len(paths) / len(classes))
    test = np.sort(np.concatenate([rng.permutation(np.flatnonzero(label == c))[:n_test] for c in range(len(classes))]))
    return np.setdiff1d(np.arange(len(paths)), test), test, classes, label


def long_tail(pool, label, n_classes, seed, imbalance=IMBALANCE):
    rng = np.random.default_rng(seed + 1)
    order = rng.permutation(n_classes)
    n_max = max(int(np.sum(label[pool] == c)) for c in range(n_classes))
    kept = []
    for i, c in enumerate(order):
        n = max(1, round(n_max * imbalance ** (-i / (n_classes - 1))))
        kept.append(rng.permutation(pool[label[pool] == c])[:n])
    return np.sort(np.concatenate(kept))


def make_pool(name, shape, backbone, seed=0, cache=CACHE, data=DATA, gleaner=GLEANER):
    """The folder of a pool, made on first use."""
    folder = os.path.join(cache, "pools", f"v{VERSION}", f"{name}-{shape}-{backbone}-p{seed}")
    if os.path.exists(os.path.join(folder, "pool.json")):
        return folder
    paths, rows = embed(name, backbone, cache, data, gleaner)
    pool, test, classes, label = split(name, paths, seed)
    if shape == "tail":
        pool = long_tail(pool, label, len(classes), seed)
    # In a random order: nothing may hang on the order of the files.
    pool = np.random.default_rng(seed + 2).permutation(pool)
    for part, chosen in (("pool", pool), ("test", test)):
        write_whole(os.path.join(folder, part + ".npy"), lambda file, c=chosen: np.save(file, np.ascontiguousarray(rows[c])))
        write_whole(os.path.join(folder, part + "_labels.npy"), lambda file, c=chosen: np.save(file, label[c]))
    about = {"set": name, "shape": shape, "backbone": backbone, "seed": seed, "version": VERSION, "classes": classes,
             "pool": len(pool), "test": len(test), "dimension": int(rows.shape[1]),
             "pool_counts": np.bincount(label[pool], minlength=len(classes)).tolist(),
             "paths": [paths[i] for i in pool]}
    write_whole(os.path.join(folder, "pool.json"), lambda file: file.write(json.dumps(about).encode()))
    return folder


def add_options(parser, sets="imagenette,flowers,cifar10", backbones="lite0,mobilenet"):
    parser.add_argument("--sets", default=sets, help=f"of {', '.join(SETS)} (default: %(default)s)")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="default: %(default)s")
    parser.add_argument("--backbones", default=backbones, help=f"of {', '.join(BACKBONES)} (default: %(default)s)")
    parser.add_argument("--cache", default=CACHE, help="default: %(default)s")
    parser.add_argument("--data", default=DATA, help="folder with photos/ and models/ (default: GLN_TEST_DATA, %(default)s)")
    parser.add_argument("--gleaner", default=GLEANER, help="default: %(default)s")
    parser.add_argument("--pool-seed", type=int, default=0, help="another split, another tail (default: %(default)s)")


def each_pool(options):
    """(set, shape, backbone, folder) of every pool that the options name; missing ones are reported and skipped."""
    for name in options.sets.split(","):
        for backbone in options.backbones.split(","):
            for shape in options.shapes.split(","):
                try:
                    yield name, shape, backbone, make_pool(name, shape, backbone, options.pool_seed, options.cache,
                                                           options.data, options.gleaner)
                except Missing as missing:
                    print(f"skipped: {missing}", flush=True)
                    break


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    for name, shape, backbone, folder in each_pool(parser.parse_args()):
        with open(os.path.join(folder, "pool.json"), encoding="utf-8") as file:
            about = json.load(file)
        print(f"{name} {shape} {backbone}: {about['pool']} in the pool, {about['test']} for the test, "
              f"counts {about['pool_counts']}; {folder}", flush=True)


if __name__ == "__main__":
    main()
