"""A backbone that computes in no time: three layers with random weights."""

import hashlib
import json
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
from protobuf_wire import block, number  # noqa: E402

SIDE, CHANNELS = 16, 8


def write_backbone(folder, name="small", seed=1):
    weights = random.Random(seed)
    data = struct.pack(f"<{CHANNELS * 27}f", *(0.1 * weights.gauss(0, 1) for _ in range(CHANNELS * 27)))
    constant = block(5, b"".join(number(1, d) for d in (CHANNELS, 3, 3, 3)) + number(2, 1) + block(8, "w") + block(9, data))

    def node(kind, inputs, output):
        return block(1, b"".join(block(1, i) for i in inputs) + block(2, output) + block(3, kind) + block(4, kind))
    shape = b"".join(block(1, number(1, d) if d else block(2, "N")) for d in (0, 3, SIDE, SIDE))
    graph = node("Conv", ["input", "w"], "c") + node("Relu", ["c"], "r") + node("GlobalAveragePool", ["r"], "p") + node("Flatten", ["p"], "embedding")
    graph += constant + block(11, block(1, "input") + block(2, block(1, number(1, 1) + block(2, shape))))
    model = number(1, 8) + block(7, graph) + block(8, number(2, 17))
    with open(os.path.join(folder, name + ".onnx"), "wb") as f:
        f.write(model)
    manifest = {"name": name, "model": name + ".onnx", "sha256": hashlib.sha256(model).hexdigest(),
                "input": {"side": SIDE, "resize": {"filter": "bilinear", "mode": "crop", "scale": 0.875}, "mean": [0.5] * 3, "std": [0.25] * 3},
                "output": "embedding", "dimension": CHANNELS, "licence": "none", "source": "random"}
    path = os.path.join(folder, name + ".json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(manifest, f)
    return path
