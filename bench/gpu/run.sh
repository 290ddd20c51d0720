#!/bin/sh
# Everything there is to know about gleaner on a GPU, in one go: a slim build, the tests on the real GPU, compute-sanitizer, both sides of
# every measurement, and a table. For a bare machine: CUDA 13 with cuBLAS, CMake, a C and C++ compiler; PyTorch and ONNX Runtime for the
# other side. No network, no other library. About ten minutes; a part that fails is told and the rest goes on.
#
#     bench/gpu/run.sh [--host-device] [--out FOLDER] [--only PART,PART]
#
# FOLDER (default: $OUT, else build/gpu) receives results.jsonl (a line a measurement or part), table.txt and a log of each part.
# --host-device: without a GPU, the same on the host device of the tests in tiny sizes: whether it all runs, and nothing about speed.
# Parts: build tests sanitizer check speed feed sampler. Environment: PYTHON (python3), LIMIT_S (570, 1800 with --host-device: no part begins after that),
# CUDA_ARCHITECTURES (that of the GPU), JOBS (processors), SAMPLER_ROWS (2000000), IMAGES (512: compared with f32).
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
out=${OUT:-$here/build/gpu}
host=
only=
while [ $# -gt 0 ]; do
    case $1 in
    --host-device) host=1 ;;
    --out) out=$2 && shift ;;
    --only) only=,$2, && shift ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift
done
mkdir -p "$out" || exit 1
out=$(CDPATH='' cd -- "$out" && pwd)
build=$out/build
work=$out/work
python=${PYTHON:-python3}
limit_s=${LIMIT_S:-$([ -n "$host" ] && echo 1800 || echo 570)}
jobs=${JOBS:-$(nproc)}
began=$(date +%s)
tiny=
mkdir -p "$work"
: >"$out/results.jsonl"

for folder in /usr/local/cuda/bin /usr/local/cuda-13/bin /opt/cuda/bin; do
    [ -x "$folder/nvcc" ] && PATH=$PATH:$folder
done
export PATH
has_gpu=
command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU && has_gpu=1

say() { printf '%s\n' "$*" | tee -a "$out/log"; }
elapsed() { echo $(($(date +%s) - began)); }
wanted() { [ -z "$only" ] || case $only in *,$1,*) true ;; *) false ;; esac; }

# part NAME SECONDS COMMAND...: runs it under a limit, tells how it went. Its output goes to NAME.log, lines of JSON in it to the results.
part() {
    part_name=$1 limit=$2
    shift 2
    left=$((limit_s - $(elapsed)))
    if [ "$left" -le 5 ]; then
        say "left out    $part_name (no time left)"
        printf '{"part": "%s", "result": "no time left"}\n' "$part_name" >>"$out/results.jsonl"
        return 1
    fi
    [ "$limit" -lt "$left" ] || limit=$left
    from=$(elapsed)
    timeout "$limit" "$@" >"$out/$part_name.log" 2>&1
    code=$?
    took=$(($(elapsed) - from))
    grep '^{.*}$' "$out/$part_name.log" >>"$out/results.jsonl"
    case $code in
    0) word=passed ;;
    77) word=skipped ;;
    124) word="out of time" ;;
    *) word="FAILED ($code)" ;;
    esac
    printf '{"part": "%s", "result": "%s", "seconds": %d}\n' "$part_name" "$word" "$took" >>"$out/results.jsonl"
    say "$(printf '%-11s %-28s %4d s' "$word" "$part_name" "$took")"
    case $code in 0 | 77) ;; *) tail -n 4 "$out/$part_name.log" | sed 's/^/            /' | tee -a "$out/log" ;; esac
    return $code
}

if [ -z "$has_gpu" ] && [ -z "$host" ]; then
    say "no GPU: nvidia-smi shows none. Nothing was measured; --host-device runs everything in tiny sizes on the processor"
    printf '{"part": "gpu", "result": "none"}\n' >>"$out/results.jsonl"
    exit 77
fi
if [ -n "$host" ]; then
    suffix=_host label=kernel
    tiny=--tiny
    export TINY=1 RUNS=1 ROUNDS=1 SECONDS_A_ROUND=0.01 DEVICE=cpu
    say "host device: whether everything runs, in tiny sizes; no figure below means anything"
else
    suffix= label=gpu
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee -a "$out/log"
fi
"$python" -c 'import torch' 2>/dev/null && has_torch=1 || has_torch=
[ -n "$has_torch" ] || say "no PyTorch in $python: networks and peers are left out"

# ---- build ----

# cuBLAS comes with the toolkit, or with PyTorch's packages.
cublas=
for folder in /usr/local/cuda/include /usr/local/cuda-13/include ${GLN_CUBLAS_INCLUDE_DIR:-} \
    $("$python" -c 'import site, glob
for s in site.getsitepackages() + [site.getusersitepackages()]:
    print(*glob.glob(s + "/nvidia/cu13*/include"), *glob.glob(s + "/nvidia/cublas/include"))' 2>/dev/null); do
    [ -f "$folder/cublasLt.h" ] && cublas=$folder && break
done
if [ -n "$cublas" ]; then
    for folder in "$cublas/../lib" "$cublas/../lib64"; do
        [ -d "$folder" ] && LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} && export LD_LIBRARY_PATH
    done
fi

configure_and_build() {
    set -- -S "$here" -B "$build" -DGLN_SLIM=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo
    if [ -z "$host" ]; then
        capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
        set -- "$@" -DGLN_CUDA=ON "-DCMAKE_CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES:-$capability}"
    else
        # nvcc, where there is one, has its say, too: host-device tests do not need it.
        set -- "$@" -DGLN_CUDA="${GLN_CUDA:-AUTO}" -DCMAKE_CUDA_ARCHITECTURES="${CUDA_ARCHITECTURES:-80}"
    fi
    [ -z "$cublas" ] || set -- "$@" "-DGLN_CUBLAS_INCLUDE_DIR=$cublas"
    cmake "$@" && cmake --build "$build" -j "$jobs" || return 1
    # Nothing but the C and C++ runtimes, or this is no slim build.
    foreign=$(ldd "$build"/bench/gpu/bench_gpu_* "$build"/tests/gpu/test_* 2>/dev/null | grep '=>' |
        grep -Ev 'lib(stdc\+\+|m|gcc_s|c|dl|rt|pthread)\.so|linux-vdso' || true)
    [ -z "$foreign" ] || { echo "linked with what a bare machine lacks: $foreign" && return 1; }
}
if wanted build; then
    (configure_and_build) >"$out/build.log" 2>&1
    code=$?
    printf '{"part": "build", "result": "%s", "seconds": %d}\n' "$([ $code = 0 ] && echo passed || echo FAILED)" "$(elapsed)" >>"$out/results.jsonl"
    if [ $code != 0 ]; then
        say "FAILED      build; the end of $out/build.log:"
        grep -E 'rror|linked with' "$out/build.log" | head -n 10
        exit 1
    fi
    say "$(printf '%-11s %-28s %4d s' passed build "$(elapsed)")"
fi
bin=$build/bench/gpu
[ -z "$host" ] || bin=$build/tests/gpu

# ---- tests ----

# What takes longer is ended and told by its name, as out of time.
test_s=150
[ -z "$host" ] || test_s=600
if wanted tests; then
    for test in "$build"/tests/gpu/test_*; do
        name=${test##*/test_}
        case $name in *_host) [ -n "$host" ] || continue ;; *) [ -z "$host" ] || continue ;; esac
        [ -x "$test" ] && [ -f "$test" ] && part "test-$name" "$test_s" "$test"
    done
fi

# ---- compute-sanitizer ----

if wanted sanitizer && [ -z "$host" ]; then
    if command -v compute-sanitizer >/dev/null; then
        for test in gpu_device gpu_pixels gpu_feed gpu_fuse gpu_graph; do
            [ -x "$build/tests/gpu/test_$test" ] || continue
            for tool in memcheck racecheck; do
                CK_FORK=no part "$tool-$test" 45 compute-sanitizer --tool $tool --error-exitcode 9 --target-processes all "$build/tests/gpu/test_$test"
            done
        done
    else
        say "left out    compute-sanitizer (not installed)"
    fi
fi

# ---- networks ----

networks="resnet50 vit-b16 efficientnet-lite0 mobilenet-v2"
images=${IMAGES:-512}
[ -z "$host" ] || images=12
batch=64
[ -z "$host" ] || batch=2
quick=
[ -z "$host" ] || quick=--quick
if [ -n "$has_torch" ] && { wanted check || wanted speed || wanted feed; }; then
    # shellcheck disable=SC2086
    part make-networks 60 "$python" "$here/bench/gpu/networks.py" "$work" $tiny
    if wanted check; then
        # shellcheck disable=SC2086
        part f32-by-the-processor 120 "$python" "$here/bench/gpu/peer_networks.py" wanted "$work" "$images" $tiny
        for name in $networks; do
            part "check-$name" 60 "$bin/bench_gpu_networks$suffix" check "$work/$name.onnx" embedding "$images" "$work/input.f32" "$work/$name.f32"
        done
    fi
    if wanted speed; then
        for name in $networks; do
            # shellcheck disable=SC2086
            part "speed-$name" 60 "$bin/bench_gpu_layers$suffix" "$work/$name.onnx" embedding $batch --layers $quick
            # shellcheck disable=SC2086
            part "peer-$name" 90 "$python" "$here/bench/gpu/peer_networks.py" speed "$name" $batch $tiny
        done
    fi
    if wanted feed; then
        width=1024 height=768 # what a decoder leaves of a photo of 12 megapixels
        [ -z "$host" ] || width=90 height=60
        part decode 30 "$python" "$here/bench/gpu/peer_networks.py" photos "$work"
        part decode-nvjpeg 60 "$bin/bench_gpu_decoders$suffix" "$([ -n "$host" ] && echo 32 || echo 224)" "$work"/photo-*.jpg
        for name in $networks; do
            part "feed-$name" 30 "$bin/bench_gpu_networks$suffix" feed "$work/$name.onnx" embedding $batch $width $height
        done
    fi
fi

# ---- the sampler ----

if wanted sampler; then
    n=${SAMPLER_ROWS:-2000000} d=1280 k=32 centres=1000
    [ -z "$host" ] || n=300 d=16 k=8 centres=8
    sampler=$bin/bench_gpu_sampler$suffix
    part rows 60 "$sampler" rows "$work/rows" $n $d $centres
    part ceiling 30 "$sampler" ceiling $d
    few=$((n / 4))
    part neighbours 90 "$sampler" neighbours "$work/rows" $few $d $k "$work/neighbours"
    part kmeans 60 "$sampler" kmeans "$work/rows" $n $d $centres 5 "$work/clusters"
    part svm 60 "$sampler" svm "$work/rows" $n $d $([ -n "$host" ] && echo 40 || echo 4000) 10 "$work/decisions"
    part pca 60 "$sampler" pca "$work/rows" $n $d $k -
    part cover 60 "$sampler" cover "$work/rows" $([ -n "$host" ] && echo 200 64 || echo 32768 2048) $d -
    if [ -n "$has_torch" ]; then
        part peer-neighbours 90 "$python" "$here/bench/gpu/peer_sampler.py" neighbours "$work/rows" $few $d $k "$work/neighbours"
        part peer-kmeans 60 "$python" "$here/bench/gpu/peer_sampler.py" kmeans "$work/rows" $n $d $centres 5 "$work/clusters"
        part peer-svm 60 "$python" "$here/bench/gpu/peer_sampler.py" svm "$work/rows" $n $d $([ -n "$host" ] && echo 40 || echo 4000) 10 "$work/decisions"
    fi
fi

rm -f "$work/rows" "$work"/*.f32 "$work"/*.onnx "$work"/photo-*.jpg "$work/neighbours" "$work/clusters" "$work/decisions"
"$python" "$here/bench/gpu/table.py" "$out/results.jsonl" 2>>"$out/log" | tee "$out/table.txt"
say "$(elapsed) s in all; everything is in $out"
! grep -q '"result": "FAILED' "$out/results.jsonl"
