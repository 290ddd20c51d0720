#!/usr/bin/env python3
"""ONNX Runtime's side of the measurement that embed_speed.c is ours of, with the same arguments and the same line of JSON.

    ort_speed.py MODEL.onnx BATCH THREADS SECONDS
"""

import json
import resource
import sys
import time

import numpy
import onnxruntime

N_ROUNDS = 5


def main():
    path, batch, threads, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    load_s = time.perf_counter() - start
    given = session.get_inputs()[0]
    side = given.shape[2]
    x = numpy.random.default_rng(1).standard_normal((batch, 3, side, side), dtype=numpy.float32)
    output = [o.name for o in session.get_outputs() if o.name == "embedding"] or [session.get_outputs()[0].name]
    session.run(output, {given.name: x})
    rates, n, cpu = [], 0, time.process_time()
    for _ in range(N_ROUNDS):
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds / N_ROUNDS:
            session.run(output, {given.name: x})
            done += batch
        rates.append(done / (time.perf_counter() - start))
        n += done
    cpu = time.process_time() - cpu
    print(json.dumps({"images_per_second": rates, "cpu_ms_per_image": 1000 * cpu / n, "load_s": load_s,
                      "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main()
