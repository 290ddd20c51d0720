#!/usr/bin/env python3
"""How far another JPEG decoder moves vectors: libjpeg-turbo with less exact ways beside itself.

    decoder_vectors.py GLEANER BACKBONE FOLDER [--photos 200] [--seed 1]

Photos below FOLDER are decoded as gleaner does and in each other way, kept as PNG and embedded in f32 on the processor. Prints for each way the
mean difference in levels, before any resize, and the least, the 1% and the median cosine. Needs numpy, pillow and simplejpeg
(bench/requirements-decoders.txt). docs/gpu.md tells what for.
"""

import argparse
import glob
import os
import random
import subprocess
import tempfile

import numpy as np
import simplejpeg
from PIL import Image

WAYS = {"as gleaner": {}, "colours not smoothed": {"fastupsample": True}, "fast inverse transform": {"fastdct": True},
        "both": {"fastdct": True, "fastupsample": True}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gleaner")
    parser.add_argument("backbone")
    parser.add_argument("folder")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    files = sorted(f for f in glob.glob(os.path.join(options.folder, "**"), recursive=True) if f.lower().endswith((".jpg", ".jpeg")))
    files = random.Random(options.seed).sample(files, min(options.photos, len(files)))
    levels, vectors, n = {way: [] for way in WAYS}, {}, 0
    with tempfile.TemporaryDirectory(prefix="decoder-vectors-") as scratch:
        for i, file in enumerate(files):
            with open(file, "rb") as f:
                data = f.read()
            if simplejpeg.decode_jpeg_header(data)[2] == "Gray":
                continue
            n, exact = n + 1, None
            for way, how in WAYS.items():
                pixels = simplejpeg.decode_jpeg(data, "RGB", **how)
                exact = pixels.astype(int) if exact is None else exact
                levels[way].append(np.abs(pixels - exact).mean())
                os.makedirs(os.path.join(scratch, way), exist_ok=True)
                Image.fromarray(pixels).save(os.path.join(scratch, way, f"{i:05}.png"), compress_level=1)
        for way in WAYS:
            output = os.path.join(scratch, way + ".npy")
            subprocess.run([options.gleaner, "embed", "-q", "--precision", "f32", "--device", "cpu", "-b", options.backbone, "-o", output,
                            os.path.join(scratch, way)], check=True, stdout=subprocess.DEVNULL)
            vectors[way] = np.load(output)
    print(f"{n} photos\n{'':<24} {'levels':>7} {'least':>8} {'1%':>8} {'median':>8}")
    for way in list(WAYS)[1:]:
        cosines = (vectors["as gleaner"] * vectors[way]).sum(1)
        print(f"{way:<24} {np.mean(levels[way]):>7.2f} {cosines.min():>8.4f} {np.percentile(cosines, 1):>8.4f} {np.median(cosines):>8.4f}")


if __name__ == "__main__":
    main()
