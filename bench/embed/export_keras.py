#!/usr/bin/env python3
"""Exports networks of Keras with random weights by tf2onnx, at several operator sets.

    export_keras.py FOLDER [NAME ...]

Writes FOLDER/<network>-tf2onnx-<opset>.onnx, input "input" [N, S, S, 3] with an open batch, output "embedding". What is there already is
left alone; what cannot be exported is told and skipped. Weights come from a seed; batch norms get the statistics of noise that
passes through them, so that activations neither vanish nor explode. check_models.py compares the files with ONNX Runtime.
Needs bench/embed/requirements-keras.txt.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
import tf2onnx

OPSETS = (11, 13, 15, 18)
SIDE = 128
NETWORKS = ["MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0", "ResNet50",
            "ResNet50V2", "ConvNeXtTiny", "DenseNet121", "InceptionV3", "Xception", "NASNetMobile"]


def batch_norms(layer):
    for inner in getattr(layer, "layers", []):
        yield from batch_norms(inner)
    if isinstance(layer, keras.layers.BatchNormalization):
        yield layer


def make(name):
    keras.utils.set_random_seed(1)
    options = {"weights": None, "include_top": False, "pooling": "avg", "input_shape": (SIDE, SIDE, 3)}
    model = getattr(keras.applications, name)(**options)
    noise = np.random.default_rng(1)
    for layer in batch_norms(model):
        layer.momentum = 0.5
    for _ in range(8):
        model(noise.standard_normal((4, SIDE, SIDE, 3), dtype=np.float32), training=True)
    return model


def main():
    folder, wanted = sys.argv[1], sys.argv[2:] or NETWORKS
    os.makedirs(folder, exist_ok=True)
    for name in wanted:
        model = None
        for opset in OPSETS:
            path = os.path.join(folder, f"keras_{name.lower()}-tf2onnx-{opset}.onnx")
            if os.path.exists(path):
                continue
            try:
                model = model or make(name)
                call = tf.function(lambda images: {"embedding": model(images, training=False)})
                spec = [tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, name="input")]
                tf2onnx.convert.from_function(call, input_signature=spec, opset=opset, output_path=path)
                print(f"{name} {opset}: {os.path.getsize(path) / 1e6:.1f} MB", flush=True)
            except Exception as problem:
                print(f"{name} {opset}: {type(problem).__name__}: {str(problem).splitlines()[0][:200]}", flush=True)


if __name__ == "__main__":
    main()
