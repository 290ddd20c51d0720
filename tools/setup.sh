#!/bin/sh
# Installs and builds what gleaner needs outside its tree. `make run` and `make check` call it; a second time it only
# looks whether everything is there.
#
#     tools/setup.sh run      to build and run
#     tools/setup.sh check    to run the tests, too
#     tools/setup.sh fuzz     to fuzz, after check: clang and its runtime
#
# Debian packages are installed with apt (as root, or with sudo). What has no package is built once into
# ${GLN_DEPS:-~/.cache/gleaner/deps}, which `make clean` leaves alone.
set -eu

purpose=${1:-run}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
GLN_DEPS=${GLN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/gleaner/deps}
export GLN_DEPS

say() { printf 'set-up: %s\n' "$*"; }
die() {
    printf 'set-up: %s\n' "$*" >&2
    exit 1
}

# ---- Debian packages ------------------------------------------------------------------------------------------------

build_packages="
    build-essential cmake ninja-build pkg-config dpkg-dev
    libfaiss-dev libopenblas-dev libdnnl-dev libsvm-dev
    libonnx-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
    libjpeg62-turbo-dev libpng-dev libspng-dev libwebp-dev
    libmicrohttpd-dev libcjson-dev libsqlite3-dev libxxhash-dev libssl-dev libcsv-dev
    check ca-certificates python3 python3-pip tuxpaint-stamps-default"
check_packages="chromium python3-venv valgrind"

is_installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'
}

install_packages() {
    command -v apt-get >/dev/null || die "apt-get is not here; gleaner's set-up knows Debian. Install by hand: $*"
    missing=
    for package in "$@"; do is_installed "$package" || missing="$missing $package"; done
    [ -n "$missing" ] || return 0
    say "installing Debian packages:$missing"
    root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "not root, and sudo is not here; as root run: apt-get install$missing"
        root=sudo
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086
    { $root apt-get update -q && $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
        >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "apt-get failed (its last lines are above, all of them in $log); mend that and run this again"
    }
    rm -f "$log"
}

# shellcheck disable=SC2086
install_packages $build_packages
# Node comes in more than one packaging; any that has both commands will do.
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then install_packages nodejs npm; fi
# shellcheck disable=SC2086
[ "$purpose" != check ] || install_packages $check_packages libonnx-testdata
if [ "$purpose" = fuzz ]; then
    install_packages clang
    install_packages "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    exit 0
fi

# ---- the FAISS C interface ---------------------------------------------------------------------------------------------

"$here/build_faiss_c.sh"

# ---- headers of cuBLAS, where a CUDA compiler is and they are not -------------------------------------------------------------

"$here/fetch_cublas.sh"

# ---- the default backbone ------------------------------------------------------------------------------------------------

python3 "$here/import_backbone.py" --output "$GLN_DEPS/backbones"

# ---- what only the tests need: a virtual environment with the peers that results are compared with ---------------------------

if [ "$purpose" = check ]; then
    requirements="$here/../tests/requirements.txt"
    stamp=$(sha256sum "$requirements" | cut -c1-16)
    venv="$GLN_DEPS/python-$stamp"
    if [ ! -f "$venv/stamp" ]; then
        say "making $venv: ONNX Runtime, Pillow and numpy, which the tests compare with"
        rm -rf "$venv"
        python3 -m venv "$venv" || die "python3 -m venv failed; is python3-venv installed?"
        "$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements" ||
            die "pip could not install tests/requirements.txt; mend that and run this again"
        : >"$venv/stamp"
    fi
    ln -sfn "$venv" "$GLN_DEPS/python"
fi
say "everything is there"
