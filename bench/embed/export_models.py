#!/usr/bin/env python3
"""Exports one network of each family with random weights, by both exporters of PyTorch and several operator sets.

    export_models.py FOLDER [--only torchscript-17,dynamo-20] [NAME ...]

Writes FOLDER/<network>-<exporter>-<opset>.onnx, input "input" [N, 3, S, S] with an open batch where the exporter manages one, and
output "embedding". What is there already is left alone; what an exporter cannot export is told and skipped. Weights
come from a seed. check_models.py compares the files with ONNX Runtime.
Needs bench/embed/requirements.txt.
"""

import os
import sys
import traceback
import warnings

import timm
import torch
import torchvision

LEGACY, DYNAMO = "torchscript", "dynamo"


def tv(name, **options):
    def make():
        model = getattr(torchvision.models, name)(weights=None, **options)
        model.eval()
        return model
    return make


def tm(name, **options):
    return lambda: timm.create_model(name, pretrained=False, num_classes=0, **options)



# name: (maker, side)
NETWORKS = {
    "resnet18": (tm("resnet18"), 224),
    "resnet50d": (tm("resnet50d"), 160),
    "tv_resnet18": (tv("resnet18"), 224),
    "mobilenetv1_100": (tm("mobilenetv1_100"), 160),
    "mobilenetv2_100": (tm("mobilenetv2_100"), 160),
    "mobilenetv3_small_100": (tm("mobilenetv3_small_100"), 160),
    "tf_mobilenetv3_small_100": (tm("tf_mobilenetv3_small_100"), 161),
    "tv_mobilenet_v3_large": (tv("mobilenet_v3_large"), 160),
    "efficientnet_b0": (tm("efficientnet_b0"), 160),
    "tf_efficientnet_b0": (tm("tf_efficientnet_b0"), 161),
    "efficientnetv2_rw_t": (tm("efficientnetv2_rw_t"), 128),
    "convnext_atto": (tm("convnext_atto"), 160),
    "convnextv2_atto": (tm("convnextv2_atto"), 160),
    "tv_convnext_tiny": (tv("convnext_tiny"), 96),
    "regnety_002": (tm("regnety_002"), 160),
    "regnetx_002": (tm("regnetx_002"), 160),
    "densenet121": (tm("densenet121"), 128),
    "squeezenet": (tv("squeezenet1_1"), 160),
    "inception_v3": (tm("inception_v3"), 160),
    "tv_googlenet": (tv("googlenet", init_weights=False, aux_logits=False, transform_input=True), 128),
    "vgg11": (tm("vgg11"), 224),
    "resnext50_32x4d": (tm("resnext50_32x4d"), 96),
    "seresnet18": (tm("legacy_seresnet18"), 128),
    "ghostnet_100": (tm("ghostnet_100"), 128),
    "resnetv2_50": (tm("resnetv2_50"), 96),
    "resnetv2_50x1_bit": (tm("resnetv2_50x1_bit"), 64),
    "vit_tiny_patch16_224": (tm("vit_tiny_patch16_224"), 224),
    "deit_tiny_patch16_224": (tm("deit_tiny_patch16_224"), 224),
    "vit_small_patch14_dinov2": (tm("vit_small_patch14_dinov2", img_size=98, depth=3, init_values=0.5), 98),
    "vit_small_patch14_reg4_dinov2": (tm("vit_small_patch14_reg4_dinov2", img_size=98, depth=3, init_values=0.5), 98),
    "vit_small_patch16_dinov3": (tm("vit_small_patch16_dinov3", depth=3, init_values=0.5), 96),
    "vit_base_patch32_clip_224": (tm("vit_base_patch32_clip_224", depth=2), 224),
    "vit_base_patch32_clip_quickgelu_224": (tm("vit_base_patch32_clip_quickgelu_224", depth=2), 224),
    "vit_base_patch16_siglip_224": (tm("vit_base_patch16_siglip_224", depth=1), 224),
    "tv_vit_b_32": (tv("vit_b_32"), 224),
    "eva02_tiny_patch14_224": (tm("eva02_tiny_patch14_224", depth=2), 224),
    "beit_base_patch16_224": (tm("beit_base_patch16_224", depth=1), 224),
    "swin_tiny_patch4_window7_224": (tm("swin_tiny_patch4_window7_224"), 224),
    "swinv2_tiny_window8_256": (tm("swinv2_tiny_window8_256"), 256),
    "mobilevit_xxs": (tm("mobilevit_xxs"), 128),
    "mixer_s32_224": (tm("mixer_s32_224"), 224),
    "poolformer_s12": (tm("poolformer_s12"), 128),
    "fastvit_t8": (tm("fastvit_t8"), 128),
    "repvgg_a0": (tm("repvgg_a0"), 96),
    "levit_128s": (tm("levit_128s"), 224),
    "maxvit_rmlp_pico_rw_256": (tm("maxvit_rmlp_pico_rw_256"), 256),
    "cspresnet50": (tm("cspresnet50"), 96),
    "botnet26t_256": (tm("botnet26t_256"), 256),
    "halonet26t": (tm("halonet26t"), 256),
    "tresnet_v2_l": (tm("tresnet_v2_l"), 96),
}
VERSIONS = [(LEGACY, 9), (LEGACY, 11), (LEGACY, 13), (LEGACY, 17), (LEGACY, 20), (DYNAMO, 18), (DYNAMO, 20)]


def matter(model, side):
    """Numbers that leave their mark: fresh layer scales and zero-initialised layers compute next to nothing. Batch norms then take
    their statistics from noise, as training would have it: without, deep networks amplify rounding until nothing agrees."""
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() <= 1 or float(parameter.abs().max()) == 0:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        for _ in range(2 if norms else 0):
            model(torch.randn(4, 3, side, side))
    return model.eval()


def export(model, path, exporter, opset, side):
    example = torch.randn(2, 3, side, side)
    names = dict(input_names=["input"], output_names=["embedding"], opset_version=opset)
    if exporter == LEGACY:
        torch.onnx.export(model, (example,), path, dynamo=False, dynamic_axes={"input": {0: "N"}, "embedding": {0: "N"}}, **names)
        return
    try:
        torch.onnx.export(model, (example,), path, dynamo=True, external_data=False,
                          dynamic_shapes=({0: torch.export.Dim("N", min=1, max=64)},), **names)
    except Exception:  # some networks fix their batch: one image then, which is how gleaner runs them
        torch.onnx.export(model, (example[:1],), path, dynamo=True, external_data=False, **names)


def main():
    warnings.filterwarnings("ignore")
    words = sys.argv[1:]
    only = None
    if "--only" in words:
        at = words.index("--only")
        only = words[at + 1].split(",")
        del words[at : at + 2]
    folder, wanted = words[0], words[1:]
    os.makedirs(folder, exist_ok=True)
    for name, (make, side) in NETWORKS.items():
        if wanted and name not in wanted:
            continue
        missing = [(e, v) for e, v in VERSIONS if only is None or f"{e}-{v}" in only]
        missing = [(e, v) for e, v in missing if not os.path.exists(os.path.join(folder, f"{name}-{e}-{v}.onnx"))]
        if not missing:
            continue
        try:
            torch.manual_seed(7)
            model = matter(make().eval(), side)
        except Exception as problem:
            print(f"{name}: not made: {problem}", flush=True)
            continue
        for exporter, opset in missing:
            path = os.path.join(folder, f"{name}-{exporter}-{opset}.onnx")
            try:
                with torch.no_grad():
                    export(model, path + ".part", exporter, opset, side)
                os.rename(path + ".part", path)
                print(f"{name} {exporter} {opset}: {os.path.getsize(path) / 1e6:.1f} MB", flush=True)
            except Exception as problem:
                if os.environ.get("TRACE"):
                    traceback.print_exc()
                print(f"{name} {exporter} {opset}: not exported: {type(problem).__name__}: {str(problem).splitlines()[0][:150] if str(problem) else ''}", flush=True)
                if os.path.exists(path + ".part"):
                    os.remove(path + ".part")


if __name__ == "__main__":
    main()
