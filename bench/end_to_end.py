"""Images per second from JPEG files on disk to stored vectors: gleaner beside Pillow + ONNX Runtime with the same model.

    python3 bench/end_to_end.py --gleaner build/release/cli/gleaner --photos FOLDER [--rounds 5] [--threads N]

Both sides in one run, in turn. Each side is a whole process from start to exit: gleaner ingests into a fresh data directory
(thumbnails, hashes and database included); the peer decodes and preprocesses with Pillow on as many threads, runs the same
ONNX file in ONNX Runtime with the same number of threads and batch, and saves an .npy. Prints one line of JSON.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def run(command, env=None):
    """Wall seconds and peak MB of a process, by the system's own accounting."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    words = process.stderr.read().decode(errors="replace")
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(command)}: {words}")
    return wall, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gleaner", required=True)
    parser.add_argument("--backbone", required=True, help="manifest of the backbone")
    parser.add_argument("--photos", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()

    n = sum(f.lower().endswith((".jpg", ".jpeg")) for _, _, files in os.walk(options.photos) for f in files)
    scratch = tempfile.mkdtemp(prefix="gleaner-bench-")
    ours, peers = [], []
    try:
        for i in range(options.rounds + 1):
            data = os.path.join(scratch, f"data-{i}")
            subprocess.run([options.gleaner, "init", "--data", data, "--backbone", options.backbone, "--project", "p"],
                           check=True, stdout=subprocess.DEVNULL)
            a = run([options.gleaner, "ingest", "--quiet", "--data", data, options.photos])
            shutil.rmtree(data)
            b = run([sys.executable, os.path.join(HERE, "peer_embed.py"), options.backbone, options.photos,
                     os.path.join(scratch, "peer.npy"), str(options.threads)])
            if i > 0:  # the first round warms the page cache
                ours.append(a)
                peers.append(b)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    ratios = sorted(b[0] / a[0] for a, b in zip(ours, peers))
    print(json.dumps({
        "images": n, "rounds": options.rounds, "threads": options.threads,
        "gleaner_images_per_s": round(n / statistics.median(a[0] for a in ours), 1),
        "peer_images_per_s": round(n / statistics.median(b[0] for b in peers), 1),
        "ratio_median": round(statistics.median(ratios), 2), "ratio_min": round(ratios[0], 2),
        "ratio_max": round(ratios[-1], 2),
        "gleaner_peak_mb": round(max(a[1] for a in ours)), "peer_peak_mb": round(max(b[1] for b in peers)),
    }))


if __name__ == "__main__":
    main()
