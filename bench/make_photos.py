"""JPEG photos of 500 pixels from a folder of PNG files: make_photos.py FROM TO. For benchmarks where no photos are at hand."""

import os
import sys

from PIL import Image


def main():
    source, target = sys.argv[1], sys.argv[2]
    for base, _, files in os.walk(source):
        for name in files:
            if not name.endswith(".png"):
                continue
            path = os.path.join(base, name)
            out = os.path.join(target, os.path.relpath(path, source)[:-4] + ".jpg")
            os.makedirs(os.path.dirname(out), exist_ok=True)
            with Image.open(path) as image:
                image = image.convert("RGBA")
                paper = Image.new("RGBA", image.size, "white")
                paper.alpha_composite(image)
                scale = 500 / max(image.size)
                size = [max(1, round(side * scale)) for side in image.size]
                paper.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(out, quality=90)


if __name__ == "__main__":
    main()
