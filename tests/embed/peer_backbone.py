#!/usr/bin/env python3
"""Asks ONNX Runtime the questions that the backend answers.

    peer_backbone.py EMBED_PROBE [--measure]

For the default backbone (GLN_DEPS/backbones) and every ONNX file in GLN_TEST_DATA/models: the outputs "embedding" and "logits"
agree to a relative error of 1e-4, and on labelled ImageNet photos (GLN_TEST_DATA/photos/imagenette-val.tar) top-1 is
within two points. With --measure it prints images a second of both on two threads instead, in turn.

Exits 77 (skipped for ctest), with the reason, without onnxruntime and numpy or without a model.
"""

import glob
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time

try:
    import numpy as np
    import onnxruntime as ort
except ImportError as problem:
    print(f"skipped: {problem}; GLN_PYTHON should be a Python with onnxruntime and numpy")
    sys.exit(77)
try:
    from PIL import Image
except ImportError:
    Image = None

TOLERANCE = 1e-4
N_PHOTOS = 200
IMAGENETTE = {"n01440764": 0, "n02102040": 217, "n02979186": 482, "n03000684": 491, "n03028079": 497, "n03394916": 566,
              "n03417042": 569, "n03425413": 571, "n03445777": 574, "n03888257": 701}
LITE = ([127 / 255] * 3, [128 / 255] * 3)
TORCHVISION = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


class Model:
    """One ONNX file in ONNX Runtime and, through manifests in a scratch folder, in the probe."""

    def __init__(self, path, probe, folder):
        self.name = os.path.basename(path)[: -len(".onnx")]
        self.probe, self.folder = probe, folder
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.side = self.session.get_inputs()[0].shape[2]
        self.mean, self.std = LITE if self.name.startswith("efficientnet-lite") else TORCHVISION
        with open(path, "rb") as file:
            self.sha256 = hashlib.sha256(file.read()).hexdigest()
        os.symlink(os.path.abspath(path), os.path.join(folder, self.name + ".onnx"))

    def expected(self, output, images):
        return np.concatenate([self.session.run([output], {self.input: images[i : i + 16]})[0]
                               for i in range(0, len(images), 16)])

    def found(self, output, dimension, images, rounds=0):
        at = os.path.join(self.folder, "manifest.json")
        manifest = {"name": self.name, "model": self.name + ".onnx", "sha256": self.sha256,
                    "input": {"side": self.side, "resize": {"filter": "bicubic", "mode": "crop", "scale": 1},
                              "mean": self.mean, "std": self.std},
                    "output": output, "dimension": dimension, "licence": "unknown", "source": "a test"}
        with open(at, "w") as file:
            json.dump(manifest, file)
        source, target = os.path.join(self.folder, "input.f32"), os.path.join(self.folder, "output.f32")
        images.astype("<f4").tofile(source)
        command = [self.probe, at, source, target, "16", "2", str(rounds)]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if run.returncode != 0:
            sys.exit(f"{self.name}: {run.stderr}")
        self.rate = float(run.stdout) if rounds else None
        return np.fromfile(target, "<f4").reshape(len(images), dimension)


def relative_error(a, b):
    """Largest over the images: the length of the difference over the length of what it should be."""
    return float(np.max(np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)))


def read_photos(path):
    """The first photos of each folder, [n, 224, 224, 3] in 0..255, and their classes."""
    taken, images, classes = {}, [], []
    with tarfile.open(path) as tar:
        for member in tar:
            folder = os.path.basename(os.path.dirname(member.name))
            if folder not in IMAGENETTE or not member.isfile() or taken.get(folder, 0) >= N_PHOTOS // len(IMAGENETTE):
                continue
            taken[folder] = taken.get(folder, 0) + 1
            photo = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB").resize((224, 224), Image.BICUBIC)
            images.append(np.asarray(photo, np.float32))
            classes.append(IMAGENETTE[folder])
    return np.stack(images), np.array(classes)


def check_numbers(model):
    images = np.random.default_rng(1).standard_normal((5, 3, model.side, model.side), dtype=np.float32)
    worst = 0.0
    for output in ("embedding", "logits"):
        expected = model.expected(output, images)
        worst = max(worst, relative_error(model.found(output, expected.shape[1], images), expected))
    print(f"{model.name}: relative error {worst:.1e}")
    return worst <= TOLERANCE


def check_photos(model, photos, classes):
    images = ((photos / 255 - np.array(model.mean)) / np.array(model.std)).astype(np.float32).transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(images)
    expected = model.expected("logits", images)
    found = model.found("logits", expected.shape[1], images)
    theirs, ours = (100 * float(np.mean(x.argmax(1) == classes)) for x in (expected, found))
    print(f"{model.name}: top-1 {ours:.1f}%, ONNX Runtime {theirs:.1f}%, {len(classes)} photos")
    return abs(ours - theirs) <= 2


def measure(model):
    images = np.random.default_rng(1).standard_normal((16, 3, model.side, model.side), dtype=np.float32)
    ours = theirs = 0.0
    dimension = model.expected("embedding", images[:1]).shape[1]
    for _ in range(3):
        model.found("embedding", dimension, images, rounds=10)
        ours = max(ours, model.rate)
        for _ in range(10):
            start = time.perf_counter()
            model.session.run(["embedding"], {model.input: images})
            theirs = max(theirs, len(images) / (time.perf_counter() - start))
    print(f"{model.name}: {ours:.1f} images/s, ONNX Runtime {ort.__version__} {theirs:.1f}, {ours / theirs:.2f}x")


def main():
    data = os.environ.get("GLN_TEST_DATA", "")
    paths = glob.glob(os.path.join(os.environ.get("GLN_DEPS", ""), "backbones", "*.onnx"))
    paths += glob.glob(os.path.join(data, "models", "*.onnx"))
    if not paths:
        print("skipped: no model in GLN_DEPS/backbones or GLN_TEST_DATA/models")
        return 77
    tar = os.path.join(data, "photos", "imagenette-val.tar")
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        models = [Model(path, sys.argv[1], folder) for path in sorted(paths)]
        if "--measure" in sys.argv:
            for model in models:
                measure(model)
            return 0
        for model in models:
            fine = check_numbers(model) and fine
        if Image is None or not os.path.exists(tar):
            print("skipped: top-1 on photos (Pillow and imagenette-val.tar)")
        else:
            photos, classes = read_photos(tar)
            for model in models:
                if model.side == 224:
                    fine = check_photos(model, photos, classes) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
