#!/bin/sh
# Every measurement of bench/RESULTS.md, in one go: bench/run.sh BUILD_FOLDER [PHOTOS]
#
# PHOTOS is a folder of JPEG files for the throughput and the real vectors (default: $GLN_TEST_DATA/photos/imagenette-val.tar
# where it is there, else the Tux Paint stamps turned into 500-pixel JPEGs).
set -eu

build=$(CDPATH='' cd -- "$1" && pwd)
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
deps=${GLN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/gleaner/deps}
python=$deps/python/bin/python3
gleaner=$build/cli/gleaner
backbone=$deps/backbones/efficientnet-lite0.json
data_files=${GLN_TEST_DATA:-$here/../../shared/data}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

photos=${2:-}
if [ -z "$photos" ] && [ -f "$data_files/photos/imagenette-val.tar" ]; then
    mkdir "$scratch/photos"
    tar -C "$scratch/photos" -xf "$data_files/photos/imagenette-val.tar"
    photos=$scratch/photos
elif [ -z "$photos" ]; then
    photos=$scratch/photos
    "$python" "$here/make_photos.py" /usr/share/tuxpaint/stamps "$photos"
fi

echo "machine: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
echo "commit: $(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)"
echo
echo "# JPEG files on disk to stored vectors, beside Pillow + ONNX Runtime"
"$python" "$here/end_to_end.py" --gleaner "$gleaner" --backbone "$backbone" --photos "$photos"
echo
echo "# resample and batches of 200 and 1,000: real vectors as far as they go, a synthetic mixture around them beyond"
"$gleaner" init --data "$scratch/data" --backbone "$backbone" --project p >/dev/null
n_real=$("$gleaner" ingest --quiet --json --data "$scratch/data" "$photos" | sed -n 's/^[[:space:]]*"added":[[:space:]]*\([0-9]*\),*$/\1/p')
for n in ${SIZES:-1000 10000 50000}; do
    "$build/bench/bench_scale" "$scratch" "$backbone" "$scratch"/data/vectors/*.vec "$n_real" "$n"
    rm -rf "${scratch:?}/$n"
done
if [ "${PEERS:-0}" = 1 ]; then
    # Large packages, so only when asked for.
    "$python" -m venv "$scratch/peers"
    "$scratch/peers/bin/pip" install -q --disable-pip-version-check -r "$here/requirements-scale.txt"
    echo
    echo "# a batch of 1,000 beside apricot-select, scikit-activeml and lightly-studio; k-means and neighbours beside faiss-cpu"
    for n in ${PEER_SIZES:-10000 100000}; do
        "$scratch/peers/bin/python" "$here/sampler/batch_latency.py" --ours "$build/bench/bench_scale" --scratch "$scratch" \
            --backbone "$backbone" --real "$(ls "$scratch"/data/vectors/*.vec)" --n-real "$n_real" --sizes "$n"
        "$scratch/peers/bin/python" "$here/index/peer_faiss.py" --ours "$build/bench/bench_index" \
            --vec "$(ls "$scratch/$n"/vectors/*.vec)" --rows "$n"
        rm -rf "${scratch:?}/$n"
    done
fi
echo
echo "# balance of a batch of 100, on the Tux Paint stamps"
"$python" "$here/balance.py" --gleaner "$gleaner" --backbone "$backbone"
