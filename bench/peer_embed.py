"""The peer of bench/end_to_end.py: Pillow decodes and preprocesses on threads, ONNX Runtime embeds in batches of 16."""

import collections
import concurrent.futures
import json
import os
import sys

import numpy
import onnxruntime
from PIL import Image

BATCH = 16
WINDOW = 64


def preprocess(path, spec):
    """As the manifest says: the whole shorter side resized, the centre cropped, normalised."""
    side = spec["side"]
    with Image.open(path) as image:
        image = image.convert("RGB")
        resize = spec["resize"]
        box = None
        if resize["mode"] == "crop":
            crop = min(image.size) * resize["scale"]
            box = ((image.width - crop) / 2, (image.height - crop) / 2, (image.width + crop) / 2, (image.height + crop) / 2)
        image = image.resize((side, side), getattr(Image.Resampling, resize["filter"].upper()), box=box)
    x = numpy.asarray(image, numpy.float32) / 255.0
    return ((x - numpy.float32(spec["mean"])) / numpy.float32(spec["std"])).transpose(2, 0, 1)


def main():
    manifest_path, photos, out, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    with open(manifest_path, encoding="utf-8") as f:
        manifest = json.load(f)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(os.path.join(os.path.dirname(manifest_path), manifest["model"]), options,
                                           providers=["CPUExecutionProvider"])
    paths = sorted(os.path.join(base, f) for base, _, files in os.walk(photos) for f in files
                   if f.lower().endswith((".jpg", ".jpeg")))
    rows, waiting, inputs = [], collections.deque(), []
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for i in range(len(paths) + WINDOW):  # a bounded number of images under way, as a careful script would
            if i < len(paths):
                waiting.append(pool.submit(preprocess, paths[i], manifest["input"]))
            if i >= WINDOW - 1 and waiting:
                inputs.append(waiting.popleft().result())
            if len(inputs) == BATCH or (inputs and not waiting):
                rows.append(session.run([manifest["output"]], {session.get_inputs()[0].name: numpy.stack(inputs)})[0])
                inputs = []
    embeddings = numpy.concatenate(rows)
    embeddings /= numpy.linalg.norm(embeddings, axis=1, keepdims=True)
    numpy.save(out, embeddings.astype(numpy.float16))


if __name__ == "__main__":
    main()
