#!/bin/sh
# Fuzzes the ONNX reader with libFuzzer. `make fuzz` calls it.
#
#     tests/fuzz/run.sh BUILD [SECONDS]
#
# BUILD is a build folder with the tests; seeds are the conformance cases, as test_conformance feeds them. Works and leaves
# everything in build/fuzz: corpus/ grows from run to run, crash-* is an input that ended it.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
build=$1
seconds=${2:-60}
work=$here/build/fuzz
command -v clang >/dev/null || { echo "fuzz: clang is not here; make fuzz installs it" >&2; exit 1; }
mkdir -p "$work/corpus" "$work/seeds"
if [ -z "$(ls "$work/seeds")" ]; then GLN_WRITE_SEEDS="$work/seeds" "$build/tests/embed/test_conformance" >/dev/null; fi

cd "$here"
sources="embed/fold.c embed/fuse.c embed/geometry.c embed/graph.c embed/onnx.c embed/onnx_external.c
    embed/onnx_tensor.c embed/onnx_wire.c embed/operators.c embed/reference.c embed/reference_layout.c embed/reference_norm.c
    embed/reference_pointwise.c embed/reference_product.c embed/reference_window.c embed/resample.c embed/shapes.c
    embed/shapes_layout.c common/clock.c common/files.c common/memory.c common/status.c common/strbuf.c"
# shellcheck disable=SC2086
clang -g -O1 -std=c17 -D_POSIX_C_SOURCE=200809L -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
    -Wno-unknown-warning-option -I. -I"$build/generated" tests/fuzz/fuzz_onnx.c $sources \
    -o "$work/fuzz_onnx" -lpthread -lm

cd "$work"
exec ./fuzz_onnx -max_total_time="$seconds" -max_len=8192 -timeout=600 -rss_limit_mb=4096 -print_final_stats=1 \
    corpus seeds "$here/tests/data/onnx_crashes"
