#!/usr/bin/env python3
"""Runs every ONNX file of a folder in gleaner and in ONNX Runtime and prints a table of relative errors.

    check_models.py EMBED_PROBE FOLDER [--markdown] [NAME ...]

The files are those of export_models.py (any with one image input and an output "embedding" or, failing that, its first output). Two
images of noise, one at a time; the error is the length of the difference over the length of what it should be, the larger of
the two. Ends with status 1 when a file fails or is off by more than 1e-4. Needs numpy and onnxruntime.
"""

import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort

TOLERANCE = 1e-4


def check(probe, path, folder):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    names = [o.name for o in session.get_outputs()]
    output = "embedding" if "embedding" in names else names[0]
    side = next(d for d in reversed(source.shape) if isinstance(d, int) and d > 4)
    images = np.random.default_rng(1).standard_normal((2, 3, side, side), dtype=np.float32)
    fed = images if source.shape[1] == 3 else np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    expected = np.concatenate([session.run([output], {source.name: fed[i : i + 1]})[0].reshape(1, -1) for i in range(2)])
    with open(path, "rb") as file:
        sha256 = hashlib.sha256(file.read()).hexdigest()
    manifest = {"name": "model", "model": "model.onnx", "sha256": sha256, "output": output, "dimension": expected.shape[1],
                "input": {"side": side, "resize": {"filter": "bicubic", "mode": "crop", "scale": 1}, "mean": [0, 0, 0], "std": [1, 1, 1]},
                "licence": "unknown", "source": "a test"}
    link = os.path.join(folder, "model.onnx")
    if os.path.lexists(link):
        os.remove(link)
    os.symlink(os.path.abspath(path), link)
    at, given, got = (os.path.join(folder, name) for name in ("manifest.json", "input.f32", "output.f32"))
    with open(at, "w") as file:
        json.dump(manifest, file)
    images.tofile(given)
    run = subprocess.run([probe, at, given, got, "2", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        return None, run.stderr.strip().splitlines()[-1] if run.stderr.strip() else f"ended with {run.returncode}"
    found = np.fromfile(got, "<f4").reshape(2, -1)
    error = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    apart = np.linalg.norm(expected[0] - expected[1]) / np.linalg.norm(expected[0])
    return float(error.max()), f"{expected.shape[1]} numbers; the two images differ by {apart:.2g}"


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("--")]
    probe, source, wanted = words[0], words[1], words[2:]
    markdown, failed, rows = "--markdown" in sys.argv, 0, {}
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(glob.glob(os.path.join(source, "*.onnx"))):
            name = os.path.basename(path)[: -len(".onnx")]
            if wanted and not any(name.startswith(w) for w in wanted):
                continue
            try:
                error, note = check(probe, path, folder)
            except Exception as problem:
                error, note = None, f"ONNX Runtime: {str(problem).splitlines()[0][:160]}"
            fine = error is not None and error <= TOLERANCE
            failed += not fine
            match = re.fullmatch(r"(.*)-(torchscript|dynamo|tf2onnx)-(\d+)", name)
            row = match.groups() if match else (name, "", "")
            rows.setdefault(row[0], {})[f"{row[1]} {row[2]}"] = f"{error:.1e}" if error is not None else "fails"
            if not markdown or not fine:
                print(f"{'ok  ' if fine else 'FAIL'} {name}: {'' if error is None else f'{error:.1e}'} {note}", flush=True,
                      file=sys.stderr if markdown else sys.stdout)
    if markdown:
        columns = sorted({c for row in rows.values() for c in row}, key=lambda c: (c.split()[0] != "torchscript", int(c.split()[-1] or 0)))
        print("| network | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
        for name, row in rows.items():
            print(f"| {name} | " + " | ".join(row.get(c, "") for c in columns) + " |")
    print(f"{sum(len(r) for r in rows.values())} files, {failed} failed", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
