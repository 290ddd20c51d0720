#!/usr/bin/env python3
"""Compares gleaner's decoding and resizing with Pillow's, on stamps of tuxpaint and on the fixtures.

    peer_pillow.py PATH_OF_image_probe FOLDER_OF_FIXTURES

Mean absolute difference below 0.5 of 255 an image; prints the largest. Newer versions of Pillow resize columns before
rows where that is cheaper. So each resize is also compared with Pillow asked for rows first in two steps, from the same
decoded pixels, and there every byte must be equal. Exit status 77 without Pillow or numpy.
"""

import glob
import os
import subprocess
import sys

try:
    import numpy
    from PIL import Image, ImageOps
except ImportError as error:
    print(f"skipped: {error.name} is not installed for {sys.executable}")
    sys.exit(77)

STAMPS = "/usr/share/tuxpaint/stamps"
N_STAMPS = 60
ALLOWED = 0.5
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Kinds that Pillow reads differently: it keeps 16-bit grey as numbers that it clips, and forgets the transparent one.
OTHERWISE = {"grey16.png", "grey16_alpha.png"}


def probe(program, path, *arguments):
    done = subprocess.run([program, path, *map(str, arguments)], capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{path}: {done.stderr.decode().strip()}")
    head, pixels = done.stdout.split(b"\n", 1)
    width, height = map(int, head.split())
    return numpy.frombuffer(pixels, numpy.uint8).reshape(height, width, 3)


def pillow_rgb(path):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def difference(ours, theirs):
    theirs = numpy.asarray(theirs)
    if ours.shape != theirs.shape:
        sys.exit(f"shapes differ: {ours.shape} and {theirs.shape}")
    gap = numpy.abs(ours.astype(int) - theirs.astype(int))
    return gap.mean(), gap.max()


def rows_first(image, size, filter_, box):
    between = image.resize((size[0], image.height), filter_, box=(box[0], 0, box[2], image.height))
    return between.resize(size, filter_, box=(0, box[1], size[0], box[3]))


def cases(image):
    """Name, filter, size, box."""
    width, height = image.size
    for name in FILTERS:
        yield f"{name} 224 x 224", name, (224, 224), (0, 0, width, height)
    yield "bicubic box", "bicubic", (96, 64), (width * 0.125, height * 0.125, width * 0.875, height * 0.75)


def crop_as_torchvision(image, side, share):
    width, height = image.size
    shorter = int(side / share)
    size = (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
    left, top = (int(round((extent - side) / 2.0)) for extent in size)
    return image.resize(size, FILTERS["bicubic"]).crop((left, top, left + side, top + side))


def main():
    program, fixtures = sys.argv[1:3]
    paths = [p for p in sorted(glob.glob(os.path.join(fixtures, "*.*")))
             if p.endswith((".png", ".jpg", ".webp")) and os.path.basename(p) not in OTHERWISE]
    stamps = sorted(glob.glob(os.path.join(STAMPS, "**", "*.png"), recursive=True))
    if stamps:
        paths += stamps[::max(1, len(stamps) // N_STAMPS)]
    else:
        print(f"without {STAMPS}: the fixtures only")
    if not paths:
        sys.exit(f"no images in {fixtures}")

    worst = {}
    for path in paths:
        image = pillow_rgb(path)
        decoded = probe(program, path, 0, 0, "bicubic")
        compared = [("as decoded", decoded, image),
                    ("crop 224 of 256", probe(program, path, 224, 0.875, "crop", 0), crop_as_torchvision(image, 224, 0.875))]
        for name, filter_, size, box in cases(image):
            ours = probe(program, path, *size, filter_, box[0], box[1], box[2] - box[0], box[3] - box[1])
            compared.append((name, ours, image.resize(size, FILTERS[filter_], box=box)))
            mean, largest = difference(ours, rows_first(Image.fromarray(decoded), size, FILTERS[filter_], box))
            if largest != 0:
                sys.exit(f"{path}, {name}, rows first: not the same bytes, mean absolute difference {mean:.3f}")
        for name, ours, theirs in compared:
            mean, largest = difference(ours, theirs)
            if mean >= ALLOWED:
                sys.exit(f"{path}, {name}: mean absolute difference {mean:.3f}, largest {largest}")
            worst[name] = max(worst.get(name, (0, 0, "")), (mean, largest, path))
    for name, (mean, largest, path) in worst.items():
        print(f"{name}: at most {mean:.4f} on average, {largest} in a pixel ({os.path.basename(path)})")
    print(f"{len(paths)} images agree")


if __name__ == "__main__":
    main()
