#!/bin/sh
# Some CUDA toolkits come without cuBLAS. Where nvcc is there and cublasLt.h is not, this puts the headers, which are all that building
# needs, from PyPI's nvidia-cublas into ${GLN_DEPS}/cublas-VERSION, once; where there is a GPU, the library as well (half a gigabyte), which
# gleaner opens when it runs. Does nothing elsewhere. CUDA is optional: a failure is said and is no error.
set -eu

version=13.0.2.14
GLN_DEPS=${GLN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/gleaner/deps}
folder=$GLN_DEPS/cublas-$version

nvcc=$(command -v nvcc || true)
[ -n "$nvcc" ] || nvcc=/usr/local/cuda/bin/nvcc
[ -x "$nvcc" ] || exit 0
"$nvcc" --version | grep -q 'release 13\.' || exit 0
toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
for place in "$toolkit" /usr/local/cuda; do [ ! -f "$place/include/cublasLt.h" ] || exit 0; done
with_library=
[ ! -e /dev/nvidiactl ] || with_library=yes
[ -f "$folder/include/cublasLt.h" ] && { [ -z "$with_library" ] || [ -f "$folder/lib/libcublasLt.so.13" ]; } && exit 0

echo "set-up: fetching nvidia-cublas $version (headers${with_library:+ and library}), which this CUDA toolkit lacks"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if ! python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$scratch" "nvidia-cublas==$version"; then
    echo "set-up: pip could not fetch it; gleaner will be built without CUDA" >&2
    exit 0
fi
python3 - "$scratch" "$folder" "$with_library" <<'END'
import glob, os, sys, zipfile
scratch, folder, with_library = sys.argv[1:]
partial = folder + ".partial"
with zipfile.ZipFile(glob.glob(scratch + "/*.whl")[0]) as wheel:
    for entry in wheel.namelist():
        name = os.path.basename(entry)
        header = "/include/" in entry and name.endswith(".h")
        if not header and not (with_library and name == "libcublasLt.so.13") and "/licenses/" not in entry:
            continue
        target = os.path.join(partial, "include" if header else "lib" if name.startswith("lib") else ".", name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with wheel.open(entry) as source, open(target, "wb") as out:
            while chunk := source.read(1 << 20):
                out.write(chunk)
os.makedirs(folder, exist_ok=True)
for place, _, files in os.walk(partial):
    for name in files:
        target = os.path.join(folder, os.path.relpath(os.path.join(place, name), partial))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(os.path.join(place, name), target)
END
rm -rf "$folder.partial"
