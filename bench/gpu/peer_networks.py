#!/usr/bin/env python3
"""The networks of networks.py by PyTorch, the other side of bench/gpu/run.sh.

    peer_networks.py wanted FOLDER N [--tiny]    images (FOLDER/input.f32) and each network's embeddings of them by ONNX Runtime on the processor, in f32,
                                                 or by PyTorch where that is missing (FOLDER/NAME.f32)
    peer_networks.py speed NAME BATCH [--tiny]   images a second on the GPU: torch.compile, f16, channels last, CUDA graphs; a line of JSON
    peer_networks.py photos FOLDER               a few JPEG files as cameras make them, and how fast Pillow decodes them; a line of JSON

speed takes "reduce-overhead", which captures CUDA graphs as gleaner does; MODE (environment) another mode of torch.compile, DEVICE=cpu the
processor in f32 without compiling, for a look at whether it runs. Seven rounds of half a second (SECONDS_A_ROUND), the median and the range.
"""

import json
import os
import sys
import time

import torch

import networks

DEVICE = os.environ.get("DEVICE", "cuda")
ROUND_S = float(os.environ.get("SECONDS_A_ROUND", "0.5"))


def wanted(folder, n, tiny):
    images = networks.noise(n, tiny)
    images.numpy().tofile(os.path.join(folder, "input.f32"))
    for name in networks.NETWORKS:
        parts, by = [], "ONNX Runtime"
        try:
            import onnxruntime
            session = onnxruntime.InferenceSession(os.path.join(folder, name + ".onnx"), providers=["CPUExecutionProvider"])
            for part in images.split(32):
                parts.append(torch.from_numpy(session.run(None, {"input": part.numpy()})[0]))
        except ImportError:
            network, by = networks.build(name, tiny), "PyTorch"
            with torch.no_grad():
                parts = [network(part) for part in images.split(32)]
        torch.cat(parts).contiguous().numpy().tofile(os.path.join(folder, name + ".f32"))
        print(f"{name}: {n} images by {by}", file=sys.stderr)


def speed(name, batch, tiny):
    network, mode = networks.build(name, tiny), os.environ.get("MODE", "reduce-overhead")
    x = networks.noise(batch, tiny)
    if DEVICE == "cuda":
        network = network.to(DEVICE, torch.float16, memory_format=torch.channels_last)
        x = x.to(DEVICE, torch.float16).contiguous(memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True
        network = torch.compile(network, mode=mode)

    def wait():
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    rates = []
    start = time.monotonic()
    with torch.inference_mode():
        for _ in range(6):
            network(x)
        wait()
        ready_s = time.monotonic() - start
        for _ in range(7):
            n, begun = 0, time.monotonic()
            while time.monotonic() - begun < ROUND_S:
                for _ in range(4):
                    network(x)
                wait()
                n += 4 * batch
            rates.append(n / (time.monotonic() - begun))
    rates.sort()
    print(json.dumps({"job": "peer", "peer": f"torch {torch.__version__} {mode}", "model": name, "batch": batch,
                      "images_per_s": rates[3], "least": rates[0], "most": rates[-1], "ready_s": ready_s}))


def photos(folder):
    try:
        from PIL import Image
    except ImportError:
        sys.exit("Pillow is not here: no photos, no decode rate")
    import io
    total_s, n = 0.0, 0
    for i, (width, height) in enumerate(((4032, 3024), (3024, 4032), (1920, 1080), (1024, 768), (640, 480), (500, 375))):
        generator = torch.Generator().manual_seed(i)
        small = torch.rand(1, 3, height // 16, width // 16, generator=generator)
        image = torch.nn.functional.interpolate(small, size=(height, width), mode="bicubic").clamp(0, 1)
        image = (image + 0.02 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
        path = os.path.join(folder, f"photo-{width}x{height}.jpg")
        Image.fromarray((image[0].permute(1, 2, 0) * 255).to(torch.uint8).numpy()).save(path, quality=92)
        with open(path, "rb") as f:
            data = f.read()
        start, took = time.monotonic(), []
        while time.monotonic() - start < ROUND_S or len(took) < 2:
            begun = time.monotonic()
            image = Image.open(io.BytesIO(data))
            side = min(image.size)
            # The largest reduction that leaves three times the resized side, as gleaner decodes: at least 768 of 256.
            by = max(d for d in (1, 2, 4, 8) if d == 1 or side // d >= 768)
            image.draft("RGB", (image.size[0] // by, image.size[1] // by))
            image.load()
            took.append(time.monotonic() - begun)
        print(json.dumps({"job": "decoder", "file": os.path.basename(path), "by": "Pillow, reduced as gleaner does", "threads": 1,
                          "photos_per_second": len(took) / sum(took)}))
        if (width, height) in ((4032, 3024), (3024, 4032), (1920, 1080), (640, 480)):
            total_s, n = total_s + sum(took) / len(took), n + 1
    print(json.dumps({"job": "decode", "by": "Pillow, reduced in decoding as gleaner does", "photos": n, "decode_ms": 1e3 * total_s / n,
                      "photos_per_second_a_core": n / total_s}))


def main():
    arguments, tiny = [a for a in sys.argv[1:] if a != "--tiny"], "--tiny" in sys.argv
    if len(arguments) == 3 and arguments[0] == "wanted":
        wanted(arguments[1], int(arguments[2]), tiny)
    elif len(arguments) == 3 and arguments[0] == "speed":
        speed(arguments[1], int(arguments[2]), tiny)
    elif len(arguments) == 2 and arguments[0] == "photos":
        photos(arguments[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
