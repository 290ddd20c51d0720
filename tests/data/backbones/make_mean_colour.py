#!/usr/bin/env python3
"""Makes mean_colour.onnx and mean_colour.json again: python3 make_mean_colour.py (needs onnx and numpy).

A real network, small enough to know its answer: a 1 x 1 convolution (identity, and a fourth channel that is 1), ReLU,
the mean over the image. The embedding of a photo is its mean red, green and blue in [0, 1], and 1.
"""

import hashlib
import json
import os

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
SIDE = 32


def main():
    weight = numpy.zeros((4, 3, 1, 1), numpy.float32)
    for channel in range(3):
        weight[channel, channel] = 1
    bias = numpy.array([0, 0, 0, 1], numpy.float32)
    nodes = [
        helper.make_node("Conv", ["input", "weight", "bias"], ["conv"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["embedding"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "mean_colour",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="gleaner tests")
    model.ir_version = 8
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    with open(os.path.join(HERE, "mean_colour.onnx"), "wb") as file:
        file.write(data)
    manifest = {
        "name": "mean-colour",
        "model": "mean_colour.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "input": {"side": SIDE, "resize": {"filter": "bilinear", "mode": "stretch", "scale": 1.0},
                  "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
        "output": "embedding",
        "dimension": 4,
        "licence": "CC0-1.0",
        "source": "tests/data/backbones/make_mean_colour.py",
    }
    with open(os.path.join(HERE, "mean_colour.json"), "w") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
