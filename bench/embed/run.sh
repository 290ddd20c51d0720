#!/bin/sh
# The extractor beside ONNX Runtime and Pillow, both sides in turn, on two threads.
#
#   bench/embed/run.sh BUILD [MODELS [PHOTOS]]
#
# MODELS is a folder with resnet50, efficientnet-lite0, mobilenet-v2 and vit-tiny as .onnx with manifests; without one they are exported
# with random weights (make_models.py; torch and timm, several GB, into the cache). PHOTOS is a folder of JPEG photos
# that larger ones are put together from (default: Debian's tuxpaint-stamps-default).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?the build folder}" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gleaner/bench-embed
mkdir -p "$cache"
venv() { # NAME REQUIREMENTS: prints the Python of a virtual environment that has them
    if ! cmp -s "$2" "$cache/$1/requirements"; then
        python3 -m venv "$cache/$1"
        "$cache/$1/bin/pip" install --quiet --requirement "$2" >&2
        cp "$2" "$cache/$1/requirements"
    fi
    echo "$cache/$1/bin/python"
}
python=$(venv peers "$here/requirements.txt")
models=${2:-$cache/models}
for name in resnet50 efficientnet-lite0 mobilenet-v2 vit-tiny; do
    [ -f "$models/$name.json" ] || "$(venv export "$here/requirements-models.txt")" "$here/make_models.py" "$models" "$name" >&2
done
exec "$python" "$here/speed.py" "$build" "$models" "${3:-}"
