#!/usr/bin/env python3
"""Makes the images of this folder again: python3 make_images.py (needs Pillow and numpy). README.md says what they are."""

import io
import os
import struct
import zlib

import numpy
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH, HEIGHT = 48, 32
# Top left, top right, bottom left, bottom right; test_image.c has the same numbers.
COLOURS = [(200, 30, 30), (30, 160, 60), (40, 60, 190), (230, 220, 60)]
GREYS = [20, 90, 160, 230]


def quarters(values, dtype=numpy.uint8):
    """[HEIGHT, WIDTH, channels] with one value a quarter."""
    values = numpy.array(values, dtype=dtype).reshape(4, -1)
    pixels = numpy.zeros((HEIGHT, WIDTH, values.shape[1]), dtype)
    for i in range(4):
        y, x = i // 2 * HEIGHT // 2, i % 2 * WIDTH // 2
        pixels[y:y + HEIGHT // 2, x:x + WIDTH // 2] = values[i]
    return pixels


def write(name, data):
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(data)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(pixels, depth):
    rows = bytearray()
    for row in pixels:
        rows.append(0)
        if depth == 16:
            rows += row.astype(">u2").tobytes()
        elif depth == 8:
            rows += row.astype(numpy.uint8).tobytes()
        else:
            bits = "".join(format(v, f"0{depth}b") for v in row.reshape(-1))
            bits += "0" * (-len(bits) % 8)
            rows += bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
    return bytes(rows)


def png(name, pixels, colour_type, depth=8, chunks_before=(), chunks_after=(), interlaced=False):
    """A PNG file written by hand: Pillow does not write most of these kinds."""
    height, width = pixels.shape[:2]
    data = b""
    if interlaced:
        for y, x, dy, dx in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]:
            part = pixels[y::dy, x::dx]
            if part.size:
                data += pack_rows(part, depth)
    else:
        data = pack_rows(pixels, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    for kind, content in chunks_before:
        out += chunk(kind, content)
    out += chunk(b"IDAT", zlib.compress(data, 9))
    for kind, content in chunks_after:
        out += chunk(kind, content)
    write(name, out + chunk(b"IEND", b""))


def exif(orientation, order="II"):
    mark = "<" if order == "II" else ">"
    # An entry of another tag first: the orientation has to be searched.
    entries = struct.pack(mark + "HHII", 0x0100, 4, 1, WIDTH) + struct.pack(mark + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return order.encode() + struct.pack(mark + "HIH", 42, 8, 2) + entries + struct.pack(mark + "I", 0)


def make_png():
    palette = b"".join(bytes(c) for c in COLOURS)
    index = quarters([0, 1, 2, 3])
    grey16 = [v * 257 for v in GREYS]
    rgb16 = [[v * 257 for v in c] for c in COLOURS]
    rgba = [COLOURS[0] + (0,), COLOURS[1] + (128,), COLOURS[2] + (255,), COLOURS[3] + (64,)]
    png("rgb.png", quarters(COLOURS), 2)
    png("interlaced.png", quarters(COLOURS), 2, interlaced=True)
    png("rgb_key.png", quarters(COLOURS), 2, chunks_before=[(b"tRNS", struct.pack(">HHH", *COLOURS[0]))])
    png("rgb16.png", quarters(rgb16, numpy.uint16), 2, 16)
    png("rgba.png", quarters(rgba), 6)
    png("rgba16.png", quarters([[v * 257 for v in c] for c in rgba], numpy.uint16), 6, 16)
    png("grey.png", quarters(GREYS), 0)
    png("grey1.png", quarters([0, 1, 1, 0]), 0, 1)
    png("grey4_interlaced.png", quarters([1, 6, 11, 15]), 0, 4, interlaced=True)
    png("grey_key.png", quarters(GREYS), 0, chunks_before=[(b"tRNS", struct.pack(">H", GREYS[1]))])
    png("grey16.png", quarters(grey16, numpy.uint16), 0, 16)
    png("grey16_alpha.png", quarters([[grey16[0], 0], [grey16[1], 65535], [grey16[2], 65535], [grey16[3], 65535]],
                                     numpy.uint16), 4, 16)
    png("palette2.png", index, 3, 2, [(b"PLTE", palette)])
    png("palette8_interlaced.png", index, 3, 8, [(b"PLTE", palette)], interlaced=True)
    png("palette_alpha.png", index, 3, 4, [(b"PLTE", palette), (b"tRNS", bytes([0, 128]))])
    # Stored so that a quarter turn clockwise (6) or three (8) make it upright.
    png("exif_before.png", numpy.rot90(quarters(COLOURS), 1), 2, chunks_before=[(b"eXIf", exif(6))])
    png("exif_after.png", numpy.rot90(quarters(COLOURS), 3), 2, chunks_after=[(b"eXIf", exif(8, "MM"))])


def make_jpeg():
    upright = Image.fromarray(quarters(COLOURS))
    upright.save(os.path.join(HERE, "rgb.jpg"), quality=95, subsampling=0)
    upright.save(os.path.join(HERE, "progressive.jpg"), quality=95, progressive=True)
    Image.fromarray(quarters(GREYS)[:, :, 0]).save(os.path.join(HERE, "grey.jpg"), quality=95)
    # Pillow's CMYK without black: 255 - RGB; stored inverted as Adobe does.
    inks = numpy.dstack([255 - quarters(COLOURS), numpy.zeros((HEIGHT, WIDTH), numpy.uint8)])
    Image.fromarray(inks, "CMYK").save(os.path.join(HERE, "cmyk.jpg"), quality=95)
    undo = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270}
    for orientation, turn in undo.items():
        stored = upright if turn is None else upright.transpose(turn)
        stored.save(os.path.join(HERE, f"exif_{orientation}.jpg"), quality=95, subsampling=0,
                    exif=b"Exif\0\0" + exif(orientation, "MM" if orientation % 2 else "II"))


def make_webp():
    upright = Image.fromarray(quarters(COLOURS))
    upright.save(os.path.join(HERE, "lossy.webp"), quality=95)
    upright.save(os.path.join(HERE, "lossless.webp"), lossless=True)
    upright.transpose(Image.Transpose.ROTATE_90).save(os.path.join(HERE, "exif_6.webp"), lossless=True, exif=exif(6))
    rgba = quarters([COLOURS[0] + (0,), COLOURS[1] + (128,), COLOURS[2] + (255,), COLOURS[3] + (64,)])
    Image.fromarray(rgba).save(os.path.join(HERE, "alpha.webp"), lossless=True, exact=True)
    frames = [Image.fromarray(quarters(COLOURS)), Image.fromarray(255 - quarters(COLOURS))]
    frames[0].save(os.path.join(HERE, "animated.webp"), save_all=True, append_images=frames[1:], lossless=True, duration=100)


def make_resized():
    """What Pillow makes of noise over a gradient, kept to the last bit. Rows first: newer versions choose."""
    generator = numpy.random.default_rng(7)
    ramp = numpy.add.outer(numpy.arange(37) * 3, numpy.arange(53) * 2)[:, :, None] + numpy.array([0, 40, 80])
    noise = Image.fromarray(numpy.clip(ramp % 256 + generator.integers(-60, 60, (37, 53, 3)), 0, 255).astype(numpy.uint8))
    noise.save(os.path.join(HERE, "noise.png"))
    cases = [("bicubic_11x7", Image.Resampling.BICUBIC, (11, 7), None), ("bilinear_17x30", Image.Resampling.BILINEAR, (17, 30), None),
             ("bicubic_80x61", Image.Resampling.BICUBIC, (80, 61), None),
             ("bicubic_16x16_box", Image.Resampling.BICUBIC, (16, 16), (8.25, 2.5, 41.75, 36)),
             ("bilinear_53x9", Image.Resampling.BILINEAR, (53, 9), None), ("bicubic_5x37", Image.Resampling.BICUBIC, (5, 37), None)]
    for name, filter_, size, box in cases:
        left, top, right, bottom = box or (0, 0, *noise.size)
        between = noise.resize((size[0], noise.height), filter_, box=(left, 0, right, noise.height))
        between.resize(size, filter_, box=(0, top, size[0], bottom)).save(os.path.join(HERE, f"noise_{name}.png"))


if __name__ == "__main__":
    make_png()
    make_jpeg()
    make_webp()
    make_resized()
