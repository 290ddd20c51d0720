#!/bin/sh
# Builds libfaiss_c, the C interface of FAISS, once, into ${GLN_DEPS} (default ${XDG_CACHE_HOME:-~/.cache}/gleaner/deps).
#
# Debian's libfaiss-dev ships FAISS's C headers and its C++ archive, but no library that defines the C functions; they
# are compiled here from Debian's own source package of the same version. The result is one shared library in
# two builds, and the dynamic loader picks (glibc-hwcaps, glibc 2.33 or later):
#
#     lib/libfaiss_c.so                           Debian's libfaiss.a, for any x86-64 (and any other processor)
#     lib/glibc-hwcaps/x86-64-v3/libfaiss_c.so    FAISS compiled again for AVX2, FMA and F16C: float16 inverted lists
#                                                 are searched many times faster (index/README.md has the figures)
#
# A plain -DFAISS_OPT_LEVEL=avx2 would not do: FAISS 1.7.3 then builds a second library, faiss_avx2, but still links its
# C interface to the generic one.
#
# The system is left alone: apt gets private lists and a private list of sources, derived from the machine's own.
# Needs no root. Run again, it finds its stamp and stops. Half a build never shows: it is renamed into place when done.
set -eu

recipe=1 # raise it when the commands below change what comes out
deps=${GLN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/gleaner/deps}
jobs=${JOBS:-$(nproc)}

say() { printf 'faiss: %s\n' "$*"; }
die() {
    printf 'faiss: %s\n' "$*" >&2
    exit 1
}

# A distribution that ships the library itself is preferred: then there is nothing to build.
if [ "${GLN_FAISS_BUILD:-auto}" != always ] &&
    printf 'int faiss_get_last_error(void);int main(void){return !faiss_get_last_error;}' |
    cc -x c - -lfaiss_c -o /dev/null 2>/dev/null; then
    say "the system has libfaiss_c; nothing to build (GLN_FAISS_BUILD=always builds one anyway)"
    exit 0
fi

version=$(dpkg-query -W -f '${source:Version}' libfaiss-dev 2>/dev/null || true)
missing=
for need in libfaiss-dev libopenblas-dev dpkg-dev g++ cmake; do
    dpkg-query -W -f '${Status}' "$need" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $need"
done
[ -z "$missing" ] || die "missing packages:$missing. Install them (apt-get install$missing) and run this again."

mkdir -p "$deps"
exec 9>"$deps/.faiss.lock"
flock 9 # two set-ups at the same time: the second one waits, then finds the stamp

final=$deps/faiss-$version
stamp="faiss $version recipe $recipe $(dpkg --print-architecture)"
if [ -f "$final/stamp" ] && [ "$(cat "$final/stamp")" = "$stamp" ]; then
    ln -sfn "faiss-$version" "$deps/faiss.new" && mv -T "$deps/faiss.new" "$deps/faiss"
    say "$final is there already"
    exit 0
fi

work=$(mktemp -d "$deps/.faiss-build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
log=$work/log

# Runs a command quietly; its output is shown only when it fails.
quietly() {
    what=$1
    shift
    "$@" >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        die "$what failed (above); $hint"
    }
}

# The release's own suites, as source entries, out of both formats that apt knows.
. /etc/os-release
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
: >"$work/src.list"
: >"$work/src.sources"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    awk -v release="$VERSION_CODENAME" '
        $1 == "deb" || $1 == "deb-src" {
            line = $0
            sub(/^deb(-src)?[ \t]+/, "", line)
            rest = line
            sub(/^\[[^]]*\][ \t]*/, "", rest)
            split(rest, field, /[ \t]+/)
            if (field[2] ~ "^" release "(-updates|-security|/updates)?$" && rest ~ /[ \t]main([ \t]|$)/)
                print "deb-src " line
        }' "$file" >>"$work/src.list"
done
for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    grep -v '^#' "$file" | awk -v release="$VERSION_CODENAME" 'BEGIN { RS = ""; FS = "\n" } {
            ours = 0; main = 0; on = 1
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^Suites:/ && $i ~ "[ \t]" release "(-updates|-security|/updates)?([ \t]|$)") ours = 1
                if ($i ~ /^Components:/ && $i ~ /[ \t]main([ \t]|$)/) main = 1
                if ($i ~ /^Enabled:[ \t]*(no|false|0)/) on = 0
            }
            if (!ours || !main || !on) next
            for (i = 1; i <= NF; i++) print ($i ~ /^Types:/ ? "Types: deb-src" : $i)
            print ""
        }' >>"$work/src.sources"
done
[ -s "$work/src.list" ] || [ -s "$work/src.sources" ] ||
    die "no package source of release $VERSION_CODENAME with component main below /etc/apt. Add one and run this again."

mkdir "$work/parts"
mv "$work/src.list" "$work/parts/src.list"
mv "$work/src.sources" "$work/parts/src.sources"
# -c is read after the system's configuration (proxies stay in force) and before the command line. Hooks meant
# for the system's own lists are not run.
cat >"$work/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$work/parts";
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF

hint="check the network and the package sources below /etc/apt, then run this again."
say "fetching Debian's source package, version $version"
quietly "apt-get update" apt-get -c "$work/apt.conf" update
cd "$work"
quietly "apt-get source faiss=$version" apt-get -c "$work/apt.conf" source "faiss=$version"
source=$(find "$work" -maxdepth 1 -type d -name 'faiss-*' | head -n 1)
[ -d "$source/c_api" ] || die "the source package holds no c_api folder; report this with the version, $version."

# link_c_api ARCHIVE OUTPUT FLAGS...: the C interface on top of one FAISS archive; only the C functions are exported, so
# that two C++ libraries in one process cannot mix.
printf '{ global: faiss_*; local: *; };\n' >"$work/exports"
link_c_api() {
    archive=$1
    output=$2
    shift 2
    mkdir -p "$(dirname "$output")"
    # shellcheck disable=SC2046 # file names of the source package hold no white space
    quietly "compiling FAISS's C interface" g++ -std=c++17 -O2 -g0 -DNDEBUG -fPIC -fopenmp -w "$@" -I "$source" -shared \
        -Wl,-soname,libfaiss_c.so -Wl,--version-script="$work/exports" -Wl,-z,defs -Wl,-z,now -Wl,--as-needed \
        $(find "$source/c_api" -name '*.cpp' ! -path '*/gpu/*') "$archive" -lopenblas -o "$output"
}

hint="see the compiler's message; free memory and disk space are the usual causes. Then run this again."
out=$work/out
mkdir -p "$out/include/faiss/c_api"
(cd "$source/c_api" && find . -name '*.h' ! -path './gpu/*' -exec cp --parents {} "$out/include/faiss/c_api" \;)
say "linking the generic build"
link_c_api "$(dpkg -L libfaiss-dev | grep '/libfaiss\.a$')" "$out/lib/libfaiss_c.so"

if [ "$(dpkg --print-architecture)" = amd64 ]; then
    v3="-march=x86-64-v3 -mtune=generic"
    say "compiling FAISS for x86-64-v3 (AVX2) with $jobs jobs; two to four minutes"
    quietly "configuring FAISS" cmake -S "$source" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_CXX_FLAGS="$v3" -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF \
        -DFAISS_ENABLE_GPU=OFF -DFAISS_ENABLE_PYTHON=OFF -DBLA_VENDOR=OpenBLAS
    quietly "compiling FAISS" cmake --build "$work/build" --target faiss -j "$jobs"
    # shellcheck disable=SC2086 # two flags
    link_c_api "$work/build/faiss/libfaiss.a" "$out/lib/glibc-hwcaps/x86-64-v3/libfaiss_c.so" $v3
fi

# One real call before it counts as built: a flat index that finds the one row it holds.
cat >"$work/try.c" <<'TRY'
#include <faiss/c_api/IndexFlat_c.h>
int main(void)
{
    FaissIndexFlatIP *index = 0;
    const float row[4] = {0, 1, 0, 0};
    float similarity = 0;
    idx_t label = -1;
    if (faiss_IndexFlatIP_new_with(&index, 4) != 0 || faiss_Index_add(index, 1, row) != 0 ||
        faiss_Index_search(index, 1, row, 1, &similarity, &label) != 0)
        return 1;
    faiss_Index_free(index);
    return label != 0 || similarity != 1.0f;
}
TRY
quietly "trying the library" cc -w -I "$out/include" "$work/try.c" -L "$out/lib" -Wl,-rpath,"$out/lib" -lfaiss_c -o "$work/try"
quietly "running the library" "$work/try"

find "$out/lib" -name '*.so' -exec strip --strip-unneeded {} +
cp "$source/LICENSE" "$out/LICENSE"
printf '%s\n' "$stamp" >"$out/stamp"
rm -rf "$final"
mv -T "$out" "$final"
ln -sfn "faiss-$version" "$deps/faiss.new" && mv -T "$deps/faiss.new" "$deps/faiss"
say "ready: $final"
