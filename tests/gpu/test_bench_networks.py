"""The GPU benchmark of networks on a small one: that each job runs, and that a check can fail. Times mean nothing here.

    test_bench_networks.py PROGRAM
"""

import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest

from small_backbone import CHANNELS, SIDE, write_backbone

PROGRAM = sys.argv.pop(1)


class Networks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gleaner-bench-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        write_backbone(self.folder)
        self.write("input", 4 * 3 * SIDE * SIDE)
        self.write("wrong", 4 * CHANNELS)

    def write(self, name, n):
        noise = random.Random(name)
        with open(os.path.join(self.folder, name), "wb") as f:
            f.write(struct.pack(f"<{n}f", *(noise.gauss(0, 1) for _ in range(n))))

    def bench(self, job, *more, check=0):
        done = subprocess.run([PROGRAM, job, "small.onnx", "embedding", *more], cwd=self.folder, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "ROUNDS": "1", "SECONDS_A_ROUND": "0.01"})
        self.assertEqual(done.returncode, check, done.stderr)
        return json.loads(done.stdout) if check == 0 else done.stderr

    def test_the_plain_operators_agree(self):
        said = self.bench("twin", "4", "input")
        self.assertEqual((said["images"], said["dimension"], said["passed"]), (4, CHANNELS, True))
        self.assertGreaterEqual(said["least_cosine"], 0.9995)

    def test_other_vectors_do_not_pass(self):
        self.assertFalse(self.bench("check", "4", "input", "wrong")["passed"])

    def test_photos_are_fed(self):
        said = self.bench("feed", "2", "50", "40", "2")
        self.assertEqual((said["batch"], said["threads"]), (2, 2))
        self.assertGreater(said["images_per_second"], 0)

    def test_what_does_not_fit_is_said(self):
        self.assertIn("input has 12288 bytes, not 15360", self.bench("check", "5", "input", "wrong", check=1))
        self.assertIn("not a job", self.bench("dance", "4", check=1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
