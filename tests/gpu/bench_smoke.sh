#!/bin/sh
# The GPU benchmarks of the sampler with tiny sizes: that they run, and that they find no wrong row. Times mean nothing here.
#     bench_smoke.sh PROGRAM
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export TINY=1 RUNS=1
"$1" rows "$folder/rows" 300 16 8
"$1" ceiling 16
"$1" neighbours "$folder/rows" 300 16 8 "$folder/neighbours"
"$1" kmeans "$folder/rows" 300 16 8 3 "$folder/clusters"
"$1" svm "$folder/rows" 300 16 40 4 "$folder/decisions"
"$1" pca "$folder/rows" 300 16 5 "$folder/along"
"$1" cover "$folder/rows" 200 64 16 -
[ "$(wc -c <"$folder/neighbours")" = $((300 * 8 * 4)) ]
[ "$(wc -c <"$folder/clusters")" = $((300 * 4)) ]
[ "$(wc -c <"$folder/decisions")" = $((300 * 6 * 4)) ]
[ "$(wc -c <"$folder/along")" = $((300 * 5 * 4)) ]
if "$1" svm "$folder/rows" 300 16 1 4 - 2>"$folder/words"; then exit 1; fi
grep -q 'support vectors' "$folder/words"
