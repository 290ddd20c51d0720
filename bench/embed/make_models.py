#!/usr/bin/env python3
"""Networks with random weights, as ONNX files with manifests, for measuring speed: nothing is downloaded.

    make_models.py FOLDER [NAME ...]        needs torch, torchvision, timm, onnx, onnxscript (requirements-models.txt)

Weights are torchvision's and timm's initialisation from a fixed seed, batch norms filled with plausible statistics so that
activations neither vanish nor explode; the output `embedding` is what comes before the classifier.
"""

import hashlib
import json
import os
import sys

import torch

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def networks():
    import timm
    import torchvision

    return {
        "resnet50": lambda: torchvision.models.resnet50(weights=None),
        "efficientnet-lite0": lambda: timm.create_model("tf_efficientnet_lite0", pretrained=False),
        "mobilenet-v2": lambda: torchvision.models.mobilenet_v2(weights=None),
        "vit-tiny": lambda: timm.create_model("vit_tiny_patch16_224", pretrained=False),
    }


class Embedding(torch.nn.Module):
    """The network without its classifier."""

    def __init__(self, network):
        super().__init__()
        for name in ("fc", "classifier", "head"):
            if hasattr(network, name):
                setattr(network, name, torch.nn.Identity())
        self.network = network

    def forward(self, x):
        return self.network(x)


def make(name, build, folder):
    torch.manual_seed(1)
    network = Embedding(build())
    # A few batches of noise in training mode give every batch norm the statistics of what passes through it.
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.randn(8, 3, 224, 224))
    network.eval()
    path = os.path.join(folder, name + ".onnx")
    sample = torch.randn(2, 3, 224, 224)
    torch.onnx.export(network, (sample,), path, input_names=["input"], output_names=["embedding"], opset_version=18, dynamo=True,
                      external_data=False, dynamic_shapes={"x": {0: torch.export.Dim("n", min=1, max=64)}})
    with open(path, "rb") as f:
        sha256 = hashlib.sha256(f.read()).hexdigest()
    manifest = {"name": name, "model": name + ".onnx", "sha256": sha256,
                "input": {"side": 224, "resize": {"filter": "bilinear", "mode": "crop", "scale": 0.875}, "mean": MEAN, "std": STD},
                "output": "embedding", "dimension": network(sample).shape[1], "licence": "none: random weights",
                "source": f"torch {torch.__version__}, seed 1, random weights"}
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
        json.dump(manifest, f, indent=1)
    print(path)


def main():
    folder, wanted = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    for name, build in networks().items():
        if not wanted or name in wanted:
            make(name, build, folder)


if __name__ == "__main__":
    main()
