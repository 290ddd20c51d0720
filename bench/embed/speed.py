#!/usr/bin/env python3
"""Images a second of the network alone and of the way from JPEG files to vectors, beside ONNX Runtime and Pillow.

    speed.py BUILD MODELS [PHOTOS] [--only SECTION[,SECTION]]        sections: ceiling, models, files, pipeline

Both sides of a comparison run in turn, as whole processes on THREADS threads. Printed are medians over rounds and, of the ratios of
neighbouring rounds, the median with the smallest and the largest.
"""

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = ["resnet50", "efficientnet-lite0", "mobilenet-v2", "vit-tiny"]
THREADS, ROUNDS, SECONDS = 2, 3, 1.5
MEBI = 1 << 20
STAMPS = "/usr/share/tuxpaint/stamps"  # tuxpaint-stamps-default, which `make run` installs


def run(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ceiling(build):
    found = json.loads(run(f"{build}/bench/embed_speed", "--ceiling", THREADS))
    print(f"matrix ceiling, {THREADS} threads: " + ", ".join(f"{k} {v / 1e9:.0f} GFLOP/s" for k, v in found.items()))
    return found


def networks(build, models, flops):
    print("\n| network | batch | ONNX Runtime f32 | f32 | ratio | of ceiling | bf16 | ratio to ORT f32 | cosine | memory f32, bf16 (limit) |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    all_ratios = []
    for name in MODELS:
        for batch in (1, 16):
            ort, ours = [], {"f32": [], "bf16": []}
            for _ in range(ROUNDS):
                line = json.loads(run(sys.executable, f"{HERE}/ort_speed.py", f"{models}/{name}.onnx", batch, THREADS, SECONDS))
                ort.append(statistics.median(line["images_per_second"]))
                for precision in [p for p in ours if p in flops]:
                    ours[precision].append(json.loads(run(f"{build}/bench/embed_speed", f"{models}/{name}.json", batch, THREADS,
                                                          SECONDS, precision)))
            rates = {p: [statistics.median(r["images_per_second"]) for r in rows] for p, rows in ours.items()}
            ratios = {p: [a / b for a, b in zip(rates[p], ort)] for p in rates}
            all_ratios.append(statistics.median(ratios["f32"]))
            share = statistics.median(rates["f32"]) * 2 * ours["f32"][0]["multiply_adds"] / flops["f32"]
            memory, limit = [], []
            for p in [p for p in ours if ours[p]]:
                memory.append(f"{max(r['peak_bytes'] for r in ours[p]) / MEBI:.0f}")
                limit.append(f"{(ours[p][0]['weights_bytes'] + 2 * ours[p][0]['activations_bytes']) / MEBI + 300:.0f}")
            cosine = json.loads(run(f"{build}/cli/gleaner", "backbone", "verify", f"{models}/{name}.json", "--json"))["agreement"]
            fast = [f"{statistics.median(rates['bf16']):.0f}", spread(ratios["bf16"]), f"{cosine:.5f}"] if rates["bf16"] else ["", "", ""]
            print(f"| {name} | {batch} | {statistics.median(ort):.1f} | {statistics.median(rates['f32']):.1f} | {spread(ratios['f32'])} | "
                  f"{100 * share:.0f}% | {' | '.join(fast)} | {', '.join(memory)} ({', '.join(limit)}) MiB |", flush=True)
    print(f"\nmean ratio in f32: {statistics.mean(all_ratios):.2f}")


def make_photos(folder, photos, scratch):
    """12-megapixel photos and 500-pixel ones, put together from smaller photos; returns the two folders."""
    from PIL import Image

    if not photos:
        photos = f"{scratch}/small"
        run(sys.executable, f"{HERE}/../make_photos.py", STAMPS, photos)
    paths = sorted(os.path.join(base, f) for base, _, files in os.walk(photos) for f in files if f.lower().endswith((".jpg", ".jpeg")))
    chosen = random.Random(1)
    for name, size, count, tiles in (("12 megapixels", (4000, 3000), 40, 6), ("500 pixels", (500, 375), 256, 2)):
        os.makedirs(f"{folder}/{name}")
        for i in range(count):
            image = Image.new("RGB", size)
            width, height = -(-size[0] // tiles), -(-size[1] // tiles)
            for j in range(tiles * tiles):
                with Image.open(chosen.choice(paths)) as part:
                    image.paste(part.convert("RGB").resize((width, height), Image.BICUBIC), (j % tiles * width, j // tiles * height))
            image.save(f"{folder}/{name}/{i:03d}.jpg", quality=90)
    return ["12 megapixels", "500 pixels"]


def files(build, models, folder, kinds):
    """JPEG files to vectors: `gleaner embed` beside Pillow and ONNX Runtime with as many workers."""
    print("\n| photos | network | Pillow + ONNX Runtime | gleaner, f32 | ratio | gleaner, auto | ratio |\n|---|---|---|---|---|---|---|")
    for kind in kinds:
        photos = f"{folder}/{kind}"
        count = len(os.listdir(photos))
        for name in ("efficientnet-lite0", "resnet50"):
            rates = {"peer": [], "f32": [], "auto": []}
            for _ in range(ROUNDS):
                for side in rates:
                    start = time.perf_counter()
                    if side == "peer":
                        run(sys.executable, f"{HERE}/../peer_embed.py", f"{models}/{name}.json", photos, f"{folder}/out.npy", THREADS)
                    else:
                        run(f"{build}/cli/gleaner", "embed", photos, "-b", f"{models}/{name}.json", "-o", f"{folder}/out.npy", "--threads",
                            THREADS, "--precision", side, "--quiet")
                    rates[side].append(count / (time.perf_counter() - start))
            ratios = {s: [a / b for a, b in zip(rates[s], rates["peer"])] for s in ("f32", "auto")}
            print(f"| {kind} | {name} | {statistics.median(rates['peer']):.1f} | {statistics.median(rates['f32']):.1f} | "
                  f"{spread(ratios['f32'])} | {statistics.median(rates['auto']):.1f} | {spread(ratios['auto'])} |", flush=True)


def rate_of(build, manifest, photos, folder, precision, threads=THREADS):
    line = json.loads(run(f"{build}/cli/gleaner", "embed", photos, "-b", manifest, "-o", f"{folder}/out.npy", "--threads", threads,
                          "--precision", precision, "--quiet", "--json"))
    return line["images_per_second"]


def make_blind(folder, side):
    """A network of next to nothing with the same input as the others: what is left is decoding."""
    import onnx

    source = f"{HERE}/../../tests/data/backbones"
    with open(f"{source}/mean_colour.json", encoding="utf-8") as f:
        manifest = json.load(f)
    model = onnx.load(f"{source}/{manifest['model']}")
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_value = side
    onnx.save(model, f"{folder}/{manifest['model']}")
    with open(f"{folder}/{manifest['model']}", "rb") as f:
        manifest["sha256"] = hashlib.sha256(f.read()).hexdigest()
    manifest["input"]["side"] = side
    manifest["input"]["resize"] = {"filter": "bilinear", "mode": "crop", "scale": 0.875}
    with open(f"{folder}/blind.json", "w", encoding="utf-8") as f:
        json.dump(manifest, f)
    return f"{folder}/blind.json"


def network_rate(build, models, name, precision, threads):
    line = json.loads(run(f"{build}/bench/embed_speed", f"{models}/{name}.json", 16, threads, SECONDS, precision))
    return statistics.median(line["images_per_second"])


def pipeline(build, models, folder, kinds):
    """The pipeline against its two halves alone: on all cores, which both want, so that together they can reach 1 / (1 / a + 1 / b) at
    most; and on half of the cores each, which is what a pipeline whose stages share nothing would be."""
    blind = make_blind(folder, 224)
    print("\n| photos | network | decoding alone | network alone | pipeline | of the slower | of what two cores allow | "
          "decoding, network on a core each | of the slower of these |\n|---|---|---|---|---|---|---|---|---|")
    for kind in kinds:
        photos = f"{folder}/{kind}"
        for name, precision in (("efficientnet-lite0", "f32"), ("resnet50", "f32"), ("resnet50", "bf16")):
            shares, bounds, halves, lines = [], [], [], []
            for _ in range(ROUNDS):
                decode = rate_of(build, blind, photos, folder, "f32")
                alone = network_rate(build, models, name, precision, THREADS)
                together = rate_of(build, f"{models}/{name}.json", photos, folder, precision)
                half = (rate_of(build, blind, photos, folder, "f32", THREADS // 2), network_rate(build, models, name, precision, THREADS // 2))
                lines.append((decode, alone, together, *half))
                shares.append(100 * together / min(decode, alone))
                bounds.append(100 * together * (1 / decode + 1 / alone))
                halves.append(100 * together / min(half))
            middle = [statistics.median(column) for column in zip(*lines)]
            print(f"| {kind} | {name}, {precision} | {middle[0]:.1f} | {middle[1]:.1f} | {middle[2]:.1f} | {spread(shares, 0)}% | "
                  f"{spread(bounds, 0)}% | {middle[3]:.1f}, {middle[4]:.1f} | {spread(halves, 0)}% |", flush=True)


def main():
    arguments = sys.argv[1:]
    only = ["ceiling", "models", "files", "pipeline"]
    if "--only" in arguments:
        at = arguments.index("--only")
        only = arguments[at + 1].split(",")
        del arguments[at:at + 2]
    build, models = arguments[:2]
    if "ceiling" in only or "models" in only:
        flops = ceiling(build)
    if "models" in only:
        networks(build, models, flops)
    if "files" in only or "pipeline" in only:
        with tempfile.TemporaryDirectory(prefix="gleaner-bench-") as folder:
            kinds = make_photos(folder, arguments[2] if len(arguments) > 2 else "", folder)
            if "files" in only:
                files(build, models, folder, kinds)
            if "pipeline" in only:
                pipeline(build, models, folder, kinds)


if __name__ == "__main__":
    main()
