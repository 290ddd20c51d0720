"""What a user sees when the GPU does well, is missing, fills up or fails: the program itself, linked with the host device.

    test_cli.py PROGRAM

Photos are small PPM-like noise in PNG, the network is three layers with random weights; both are made here. Whatever happens, the vectors are
those of the processor within what f16 allows, or the program ends with one line.
"""

import hashlib
import json
import math
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

from small_backbone import CHANNELS, write_backbone

PROGRAM = sys.argv.pop(1)
IMAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/images")
N_PHOTOS = 20


def gleaner(*arguments, check=0, **env):
    done = subprocess.run([PROGRAM] + [str(a) for a in arguments], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "GLN_GPU_BATCH": "4", **{k: str(v) for k, v in env.items()}})
    if done.returncode != check:
        raise AssertionError(f"{arguments} {env}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


# ---- photos -------------------------------------------------------------------------------------------------


def write_photos(folder, first, n):
    os.makedirs(folder, exist_ok=True)
    for i in range(first, first + n):
        noise, width, height = random.Random(i), 20 + i % 7, 31 - i % 5
        rows = b"".join(b"\0" + bytes(noise.randrange(256) for _ in range(3 * width)) for _ in range(height))

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        with open(os.path.join(folder, f"{i:03d}.png"), "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                    chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return folder


def least_cosine(a, b):
    least = 1.0
    for i in range(0, len(a), CHANNELS):
        x, y = a[i:i + CHANNELS], b[i:i + CHANNELS]
        least = min(least, sum(p * q for p, q in zip(x, y)) / math.sqrt(sum(p * p for p in x) * sum(q * q for q in y)))
    return least


class Gpu(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gleaner-gpu-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.backbone = write_backbone(self.folder)
        self.photos = write_photos(os.path.join(self.folder, "photos"), 0, N_PHOTOS)
        self.data = os.path.join(self.folder, "data")

    def embed(self, *more, check=0, **env):
        """The vectors, and what the program says."""
        output = os.path.join(self.folder, "vectors.raw")
        if os.path.exists(output):
            os.remove(output)
        done = gleaner("embed", "-b", self.backbone, "-o", output, "-f", "raw", "--json", "-q", *more, self.photos, check=check, **env)
        if check != 0:
            self.assertFalse(os.path.exists(output))
            return None, done
        with open(output, "rb") as f:
            data = f.read()
        self.assertEqual(len(data), 4 * CHANNELS * N_PHOTOS)
        return struct.unpack(f"<{len(data) // 4}f", data), done

    def ingest(self, *more, check=0, **env):
        done = gleaner("ingest", "--data", self.data, "--json", "-q", *more, self.photos, check=check, **env)
        return (json.loads(done.stdout) if check == 0 else None), done

    def init(self):
        gleaner("init", "--data", self.data, "--backbone", self.backbone, "--project", "p")

    def test_auto_takes_the_gpu_and_says_so(self):
        ours, done = self.embed()
        said = json.loads(done.stdout)
        self.assertEqual(said["precision"], "f16")
        self.assertTrue(said["device"].startswith("GPU 0"), said)
        theirs, done = self.embed("--device", "cpu")
        said = json.loads(done.stdout)
        self.assertEqual((said["device"], said["precision"] in ("f32", "bf16")), ("cpu", True))
        self.assertGreaterEqual(least_cosine(ours, theirs), 0.9995)

    def test_what_is_no_device_is_wrong_usage(self):
        for text in ("gpu", "cuda:", "cuda:x", "cuda:0,0", "cuda:0,", "cuda0", "CUDA", "cuda:1000"):
            done = gleaner("embed", "-b", self.backbone, "-o", "x.npy", "--device", text, self.photos, check=2)
            self.assertIn("auto, cpu, cuda or cuda:N,M", done.stderr)

    def test_a_gpu_that_is_not_there_is_named(self):
        _, done = self.embed("--device", "cuda:7", check=1)
        self.assertIn("there is no GPU 7", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_without_a_driver_auto_computes_and_cuda_stops(self):
        for absent, words in (("35:0", "no NVIDIA driver"), ("35:12020", "12.2"), ("100:13000", "no device")):
            _, done = self.embed(GLN_HOST_ABSENT=absent)
            self.assertEqual(json.loads(done.stdout)["device"], "cpu")
            _, done = self.embed("--device", "cuda", check=1, GLN_HOST_ABSENT=absent)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_a_failure_at_any_moment_gives_the_processors_vectors_or_an_error(self):
        theirs, _ = self.embed("--device", "cpu")
        took_over = stopped = 0
        for what in ("GLN_HOST_FAIL_RUN", "GLN_HOST_FAIL_LAUNCH", "GLN_HOST_FAIL_ALLOCATION"):
            for moment in (1, 4, 9, 16, 25, 33):
                ours, done = self.embed(**{what: moment})
                self.assertGreaterEqual(least_cosine(ours, theirs), 0.9995, f"{what} {moment}")
                took_over += json.loads(done.stdout)["device"] == "cpu"
                done = subprocess.run([PROGRAM, "embed", "-b", self.backbone, "-o", os.path.join(self.folder, "v.npy"), "-q", "--device", "cuda",
                                       self.photos], capture_output=True, text=True, timeout=300,
                                      env={**os.environ, "GLN_GPU_BATCH": "4", what: str(moment)})
                self.assertIn(done.returncode, (0, 1), done.stderr)
                stopped += done.returncode == 1
        self.assertGreaterEqual(took_over, 8)
        self.assertGreaterEqual(stopped, 8)

    def embed_jpegs(self, *more, check=0, **env):
        if os.environ.get("GLN_TEST_NO_DECODING"):
            self.skipTest("decoding on several threads' streams: the thread sanitizer does not follow so many kernels' fibers")
        names = ["rgb.jpg", "grey.jpg", "progressive.jpg", "cmyk.jpg", "rgb.png"] + [f"exif_{i}.jpg" for i in range(1, 9)]
        folder, output = os.path.join(self.folder, "jpegs"), os.path.join(self.folder, "jpegs.raw")
        if not os.path.exists(folder):
            os.makedirs(folder)
            for turn in range(6):
                for name in names:
                    shutil.copy(os.path.join(IMAGES, name), os.path.join(folder, f"{turn}-{name}"))
            with open(os.path.join(IMAGES, "rgb.jpg"), "rb") as f:
                data = f.read()
            with open(os.path.join(folder, "5-truncated.jpg"), "wb") as f:
                f.write(data[:len(data) * 2 // 3])
        done = gleaner("embed", "-b", self.backbone, "-o", output, "-f", "raw", "--json", "-q", *more, folder, check=check, **env)
        if check != 0:
            return None, done
        said = json.loads(done.stdout)
        self.assertEqual((said["rows"], said["refused"]), (6 * len(names), 1))
        self.assertIn("5-truncated.jpg: truncated", done.stderr)
        with open(output, "rb") as f:
            data = f.read()
        return struct.unpack(f"<{len(data) // 4}f", data), done

    def test_nvjpeg_decodes_what_the_processor_does(self):
        theirs, done = self.embed_jpegs("--decode", "cpu", GLN_HOST_NVJPEG=0)
        self.assertNotIn("nvJPEG", done.stderr)
        ours, done = self.embed_jpegs("--decode", "nvjpeg", GLN_HOST_NVJPEG=0)
        self.assertIn("nvJPEG decodes: on the first 16 photos nvJPEG took 16", done.stderr)
        self.assertGreaterEqual(least_cosine(ours, theirs), 0.9995)
        self.assertNotEqual(ours, theirs)  # turned photos are rounded from another side: nvJPEG did decode
        _, done = self.embed_jpegs(GLN_HOST_NVJPEG=0)
        self.assertIn("on the first 16 photos nvJPEG took 16", done.stderr)  # whoever was quicker
        ours, done = self.embed_jpegs("--decode", "nvjpeg", GLN_HOST_NVJPEG=0, GLN_HOST_FAIL_NVJPEG=30)
        self.assertIn("nvJPEG is not used any more (nvJPEG, unpacking: error 8); the processor decodes", done.stderr)
        self.assertGreaterEqual(least_cosine(ours, theirs), 0.9995)

    def test_nvjpeg_that_cannot_be_had_is_an_error_where_it_is_asked_for(self):
        for words, options, env in (("levels away from the processor's", (), {"GLN_HOST_NVJPEG": 9}), ("no nvJPEG", (), {}),
                                    ("nvJPEG decodes where a GPU computes", ("--device", "cpu"), {"GLN_HOST_NVJPEG": 0})):
            _, done = self.embed_jpegs("--decode", "nvjpeg", *options, check=1, **env)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
        _, done = self.embed_jpegs(GLN_HOST_NVJPEG=9)
        self.assertIn("nvJPEG is not used: its pixels are", done.stderr)
        done = gleaner("embed", "-b", self.backbone, "-o", "x.npy", "--decode", "gpu", self.photos, check=2)
        self.assertIn("auto, cpu or nvjpeg", done.stderr)

    def test_thumbnails_are_the_processors(self):
        self.init()
        self.embed_jpegs(GLN_HOST_NVJPEG=0)
        done = gleaner("ingest", "--data", self.data, "--json", "-q", os.path.join(self.folder, "jpegs"), GLN_HOST_NVJPEG=0)
        self.assertNotIn("nvJPEG", done.stderr)

    def test_a_failure_in_mid_ingest_is_in_the_record(self):
        self.init()
        said, done = self.ingest(GLN_HOST_FAIL_RUN=30)
        self.assertEqual((said["added"], said["precision"]), (N_PHOTOS, "f16"))
        self.assertIn("GPU 0", said["device"])
        self.assertIn(", then cpu: ", said["device"])
        self.assertIn("the processor takes over", done.stderr)

    def test_the_processor_goes_on_where_a_gpu_was_if_it_computes_the_same(self):
        self.init()
        said, _ = self.ingest()
        self.assertTrue(said["device"].startswith("GPU 0"))
        write_photos(self.photos, N_PHOTOS, 5)
        said, done = self.ingest(GLN_HOST_ABSENT="35:0")
        self.assertEqual((said["added"], said["precision"]), (5, "f16"))
        self.assertRegex(said["device"], r"^cpu for a GPU \(cosine (1\.0|0\.999[5-9])")
        self.assertIn("no NVIDIA driver", done.stderr)
        write_photos(self.photos, N_PHOTOS + 5, 1)
        _, done = self.ingest("--precision", "f32", check=1)
        self.assertIn("never mix", done.stderr)

    def test_the_processor_holds_where_nothing_is_left_to_compare_with(self):
        self.init()
        self.ingest()
        shutil.rmtree(self.photos)
        write_photos(self.photos, N_PHOTOS, 5)
        _, done = self.ingest("--device", "cpu", check=1)
        self.assertIn("go on where the GPU is", done.stderr)
        said, _ = self.ingest()  # there it goes on
        self.assertEqual(said["added"], 5)

    def test_a_pool_in_f32_goes_on_in_f32(self):
        self.init()
        said, _ = self.ingest("--device", "cpu", "--precision", "f32")
        write_photos(self.photos, N_PHOTOS, 5)
        said, _ = self.ingest()
        self.assertEqual((said["added"], said["precision"]), (5, "f32"))
        self.assertTrue(said["device"].startswith("GPU 0"), said)

    def test_a_backbone_that_lags_behind_catches_up_as_the_active_one_would(self):
        def recorded(run):
            database = sqlite3.connect(f"file:{self.data}/gleaner.db?mode=ro", uri=True)
            summary = json.loads(database.execute("SELECT summary FROM run WHERE id = ?", (run,)).fetchone()[0])
            database.close()
            return summary["backfills"]
        self.init()
        self.ingest()
        newest = os.path.join(self.photos, f"{N_PHOTOS - 1:03d}.png")
        os.remove(newest)  # a gap, and the first row that the processor would be checked by
        second = write_backbone(self.folder, "second", 2)
        gleaner("backbone", "add", second, "--data", self.data, "--project", "p")
        said, _ = self.ingest()
        [what] = recorded(said["run"])
        self.assertEqual((said["backfilled"], what["backbone"], what["vectors"], what["precision"]), (N_PHOTOS, "second", N_PHOTOS, "f16"))
        self.assertTrue(what["device"].startswith("GPU 0"), what)
        write_photos(self.photos, N_PHOTOS - 1, 3)
        said, _ = self.ingest(GLN_HOST_ABSENT="35:0")
        [what] = recorded(said["run"])
        self.assertEqual((said["added"], said["backfilled"], what["precision"]), (2, 2, "f16"))
        self.assertRegex(what["device"], r"^cpu for a GPU \(cosine (1\.0|0\.999[5-9])")

    def test_doctor_tells_what_gpu_there_is(self):
        self.init()
        self.ingest()
        self.assertRegex(gleaner("doctor", "--data", self.data).stdout, r"ok   gpu +GPU 0, .* GB")
        self.assertRegex(gleaner("doctor", "--data", self.data, GLN_HOST_ABSENT="35:0").stdout, r"ok   gpu +.*no NVIDIA driver")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
