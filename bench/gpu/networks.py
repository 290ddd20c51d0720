#!/usr/bin/env python3
"""Networks with random weights in plain PyTorch, and the same as ONNX files: nothing is downloaded, and PyTorch is all it takes.

    networks.py FOLDER [--tiny] [NAME ...]     writes FOLDER/NAME.onnx, input "input" [N, 3, S, S], output "embedding"

resnet50 (He et al. 2016, stride in the 3 x 3 convolution as torchvision has it), vit-b16 (Dosovitskiy et al. 2021, mean of the tokens instead
of a class token), efficientnet-lite0 (Tan and Le 2019, the TensorFlow team's Lite variant) and mobilenet-v2 (Sandler et al. 2018), each without its
classifier. --tiny makes them narrow, shallow and for 32 pixels: for a look at whether everything runs. Weights come from a
seed; batch norms get the statistics of noise that goes through, so that activations neither vanish nor explode.

The ONNX writer traces a module with torch.fx and knows what these four need.
"""

import argparse
import operator
import os
import struct
import sys

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
from protobuf_wire import block, number, varint  # noqa: E402

OPSET = 20

# ---- the networks ---------------------------------------------------------------------------------------------------------


def conv(i, o, k, stride=1, groups=1, act=nn.ReLU):
    layers = [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, act()) if act else nn.Sequential(*layers)


class Bottleneck(nn.Module):
    def __init__(self, i, width, stride):
        super().__init__()
        self.body = nn.Sequential(conv(i, width, 1), conv(width, width, 3, stride), conv(width, 4 * width, 1, act=None))
        self.shortcut = conv(i, 4 * width, 1, stride, act=None) if stride != 1 or i != 4 * width else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


class Inverted(nn.Module):
    def __init__(self, i, o, k, stride, expand):
        super().__init__()
        wide = i * expand
        layers = [conv(i, wide, 1, act=nn.ReLU6)] if expand != 1 else []
        self.body = nn.Sequential(*layers, conv(wide, wide, k, stride, wide, nn.ReLU6), conv(wide, o, 1, act=None))
        self.same = stride == 1 and i == o

    def forward(self, x):
        return x + self.body(x) if self.same else self.body(x)


class Pooled(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x):
        return self.layers(x)


def resnet50(tiny):
    w, depths = (8, (1, 1, 1, 1)) if tiny else (64, (3, 4, 6, 3))
    layers, i = [conv(3, w, 7, 2), nn.MaxPool2d(3, 2, 1)], w
    for stage, depth in enumerate(depths):
        for block in range(depth):
            layers.append(Bottleneck(i, w << stage, 2 if stage and not block else 1))
            i = 4 * w << stage
    return Pooled(*layers)


def inverted_net(tiny, first, settings, last):
    by = 4 if tiny else 1
    layers, i = [conv(3, first // by, 3, 2, act=nn.ReLU6)], first // by
    for expand, o, depth, stride, k in settings:
        for block in range(1 if tiny else depth):
            layers.append(Inverted(i, o // by, k, 1 if block else stride, expand))
            i = o // by
    return Pooled(*layers, conv(i, last // by, 1, act=nn.ReLU6))


def efficientnet_lite0(tiny):
    return inverted_net(tiny, 32, ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
                                   (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)), 1280)


def mobilenet_v2(tiny):
    return inverted_net(tiny, 32, ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3),
                                   (6, 160, 3, 2, 3), (6, 320, 1, 1, 3)), 1280)


class Block(nn.Module):
    def __init__(self, n, d, heads):
        super().__init__()
        self.n, self.d, self.heads = n, d, heads
        self.norm, self.qkv, self.out = nn.LayerNorm(d, eps=1e-6), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.LayerNorm(d, eps=1e-6), nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        qkv = self.qkv(self.norm(x)).reshape(-1, self.n, 3, self.heads, self.d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        x = x + self.out(y.transpose(1, 2).reshape(-1, self.n, self.d))
        return x + self.mlp(x)


class Vit(nn.Module):
    def __init__(self, side, patch, d, depth, heads):
        super().__init__()
        n = (side // patch) ** 2
        self.patches = nn.Conv2d(3, d, patch, patch)
        self.places = nn.Parameter(0.02 * torch.randn(1, n, d))
        self.blocks = nn.Sequential(*[Block(n, d, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(d, eps=1e-6)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.norm(self.blocks(x)).mean(1)


def vit_b16(tiny):
    return Vit(32, 8, 32, 2, 2) if tiny else Vit(224, 16, 768, 12, 12)


NETWORKS = {"resnet50": resnet50, "vit-b16": vit_b16, "efficientnet-lite0": efficientnet_lite0, "mobilenet-v2": mobilenet_v2}


def side_of(tiny):
    return 32 if tiny else 224


def build(name, tiny=False):
    """The network in eval mode; the same weights each time."""
    torch.manual_seed(1)
    network = NETWORKS[name](tiny)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over what goes through
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    if norms:
        network.train()
        with torch.no_grad():
            for _ in range(2):
                network(noise(4, tiny))
    return network.eval()


def noise(n, tiny, seed=2):
    """Images whose neighbouring pixels are alike, as in photos: noise at three scales."""
    generator = torch.Generator().manual_seed(seed)
    side, total = side_of(tiny), 0
    for part in (1, 4, 16):
        total = total + F.interpolate(torch.randn(n, 3, side // part, side // part, generator=generator), size=(side, side), mode="bilinear")
    return total / 1.5


# ---- ONNX -----------------------------------------------------------------------------------------------------------------


class Writer:
    def __init__(self):
        self.nodes, self.constants, self.n = [], [], 0

    def name(self):
        self.n += 1
        return f"t{self.n}"

    def constant(self, tensor):
        tensor, name = tensor.detach().cpu().contiguous(), self.name()
        kind = 7 if tensor.dtype == torch.int64 else 1
        dims = b"".join(number(1, d) for d in tensor.shape)
        data = (tensor if kind == 7 else tensor.float()).numpy().tobytes()
        self.constants.append(block(5, dims + number(2, kind) + block(8, name) + block(9, data)))
        return name

    def ints(self, *values):
        return self.constant(torch.tensor(values, dtype=torch.int64))

    def node(self, kind, inputs, **attributes):
        out, parts = self.name(), b""
        for key, value in attributes.items():
            part = block(1, key)
            if isinstance(value, float):
                part += varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
            elif isinstance(value, int):
                part += number(3, value) + number(20, 2)
            else:
                part += b"".join(number(8, v) for v in value) + number(20, 7)
            parts += block(5, part)
        names = b"".join(block(1, i) for i in inputs)
        self.nodes.append(block(1, names + block(2, out) + block(3, f"{kind}_{out}") + block(4, kind) + parts))
        return out

    def bytes(self, result, side):
        self.nodes.append(block(1, block(1, result) + block(2, "embedding") + block(3, "result") + block(4, "Identity")))

        def value(name, dims):
            shape = b"".join(block(1, block(2, "N") if d is None else number(1, d)) for d in dims)
            return block(1, name) + block(2, block(1, number(1, 1) + block(2, shape)))
        graph = b"".join(self.nodes) + block(2, "network") + b"".join(self.constants) + block(11, value("input", [None, 3, side, side]))
        graph += block(12, block(1, "embedding") + block(2, block(1, number(1, 1))))
        return number(1, 9) + block(7, graph) + block(8, number(2, OPSET))


def module_node(w, m, x):
    if isinstance(m, nn.Conv2d):
        inputs = [x, w.constant(m.weight)] + ([w.constant(m.bias)] if m.bias is not None else [])
        p = list(m.padding)
        return w.node("Conv", inputs, strides=list(m.stride), pads=p + p, group=m.groups, kernel_shape=list(m.kernel_size))
    if isinstance(m, nn.BatchNorm2d):
        parts = [w.constant(t) for t in (m.weight, m.bias, m.running_mean, m.running_var)]
        return w.node("BatchNormalization", [x] + parts, epsilon=float(m.eps))
    if isinstance(m, nn.ReLU6):
        return w.node("Clip", [x, w.constant(torch.tensor(0.0)), w.constant(torch.tensor(6.0))])
    if isinstance(m, nn.ReLU):
        return w.node("Relu", [x])
    if isinstance(m, nn.GELU):
        return w.node("Gelu", [x])
    if isinstance(m, nn.MaxPool2d):
        return w.node("MaxPool", [x], kernel_shape=[m.kernel_size] * 2, strides=[m.stride] * 2, pads=[m.padding] * 4)
    if isinstance(m, nn.AdaptiveAvgPool2d):
        return w.node("GlobalAveragePool", [x])
    if isinstance(m, nn.Flatten):
        return w.node("Flatten", [x], axis=1)
    if isinstance(m, nn.Linear):
        return w.node("Add", [w.node("MatMul", [x, w.constant(m.weight.t())]), w.constant(m.bias)])
    if isinstance(m, nn.LayerNorm):
        return w.node("LayerNormalization", [x, w.constant(m.weight), w.constant(m.bias)], axis=-1, epsilon=float(m.eps))
    if isinstance(m, nn.Identity):
        return x
    raise NotImplementedError(type(m).__name__)


def call_node(w, target, a, ranks, node):
    if target in (operator.add, torch.add):
        return w.node("Add", a[:2])
    if target is F.relu:
        return w.node("Relu", a[:1])
    if target is operator.getitem:
        return w.node("Gather", [a[0], w.constant(torch.tensor(a[1], dtype=torch.int64))], axis=0)
    if target is F.scaled_dot_product_attention:
        d = node.args[0].meta["shape"][-1]
        q = w.node("Mul", [a[0], w.constant(torch.tensor(d ** -0.5))])
        p = w.node("Softmax", [w.node("MatMul", [q, w.node("Transpose", a[1:2], perm=[0, 1, 3, 2])])], axis=-1)
        return w.node("MatMul", [p, a[2]])
    if target == "reshape":
        return w.node("Reshape", [a[0], w.ints(*a[1:])])
    if target == "flatten":  # of [n, c, h, w] from axis 2 on
        return w.node("Reshape", [a[0], w.ints(0, 0, -1)])
    if target == "permute":
        return w.node("Transpose", a[:1], perm=list(a[1:]))
    if target == "transpose":
        order = list(range(ranks))
        order[a[1]], order[a[2]] = order[a[2]], order[a[1]]
        return w.node("Transpose", a[:1], perm=order)
    if target == "mean":
        return w.node("ReduceMean", [a[0], w.ints(a[1])], keepdims=0)
    raise NotImplementedError(str(target))


class Tracer(torch.fx.Tracer):
    def is_leaf_module(self, m, name):
        return not isinstance(m, (nn.Sequential, Bottleneck, Inverted, Pooled, Block, Vit))


def onnx_bytes(network, tiny):
    graph = torch.fx.GraphModule(network, Tracer().trace(network))
    shapes = Shapes(graph)
    with torch.no_grad():
        shapes.run(noise(2, tiny))
    w, names, result = Writer(), {}, None
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            names[node] = "input"
            continue
        if node.op == "get_attr":
            value = network
            for part in node.target.split("."):
                value = getattr(value, part)
            names[node] = w.constant(value)
            continue
        if node.op == "output":
            result = names[node.args[0]]
            continue
        a = [names[i] if isinstance(i, torch.fx.Node) else i for i in node.args]
        if node.op == "call_module":
            names[node] = module_node(w, network.get_submodule(node.target), a[0])
        else:
            names[node] = call_node(w, node.target, a, len(node.args[0].meta["shape"]), node)
    return w.bytes(result, side_of(tiny))


class Shapes(torch.fx.Interpreter):
    def run_node(self, node):
        value = super().run_node(node)
        if isinstance(value, torch.Tensor):
            node.meta["shape"] = tuple(value.shape)
        return value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    for name in options.names:
        if name not in NETWORKS:
            parser.error(f"{name}: no such network, only {', '.join(NETWORKS)}")
    os.makedirs(options.folder, exist_ok=True)
    for name in options.names or NETWORKS:
        path = os.path.join(options.folder, name + ".onnx")
        with open(path, "wb") as f:
            f.write(onnx_bytes(build(name, options.tiny), options.tiny))
        print(path)


if __name__ == "__main__":
    main()
