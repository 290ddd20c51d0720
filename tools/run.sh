#!/bin/sh
# What `make run` does once everything is built: photos in, a first batch out, then the service.
#
#     IMAGES   folder of photos (default: Debian's Tux Paint stamps, whose folder names then serve as annotator)
#     DATA     data directory (default: ./data/NAME of the project)
#     PROJECT  project (default: stamps for the sample, photos otherwise)
#     CLASSES  names of the classes, with commas between (default: none; the sample's folders)
#     PORT     of the service (default: 8080)
#     SERVE=0  ends after the batch
set -eu

gleaner=$1
deps=${GLN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/gleaner/deps}
sample=/usr/share/tuxpaint/stamps
images=${IMAGES:-$sample}
is_sample=no
[ "$images" != "$sample" ] || is_sample=yes
if [ $is_sample = yes ]; then project=${PROJECT:-stamps}; else project=${PROJECT:-photos}; fi
data=${DATA:-data/$project}
classes=${CLASSES:-}
[ $is_sample = no ] || [ -n "$classes" ] || classes=$(cd "$sample" && ls -d -- */ | tr -d / | paste -sd, -)
price=${PRICE:-0.10}
seconds=${SECONDS_PER_LABEL:-6}

step() { printf '\n== %s\n' "$*"; }
g() {
    command=$1
    shift
    "$gleaner" "$command" --data "$data" --project "$project" "$@"
}

step "project $project in $data"
if [ -n "$classes" ]; then
    g init --backbone "$deps/backbones/efficientnet-lite0.json" --classes "$classes" --price "$price" --seconds "$seconds"
else
    g init --backbone "$deps/backbones/efficientnet-lite0.json"
fi

step "photos of $images"
g ingest "$images"

step "clusters and near-duplicates"
g resample

labels=$(g export --format jsonl | wc -l)
if [ $is_sample = yes ] && [ "$labels" = 0 ]; then
    step "no label yet: a first batch of 60 for diversity, labelled by a simulated annotator (the folder names)"
    first=$(g batch --size 60 --seed 1 --key cold-start --holder simulated --json | sed -n 's/^[[:space:]]*"id":[[:space:]]*\([0-9]*\),*$/\1/p' | head -n 1)
    g label --batch "$first" --folders --root "$sample" --source simulated
    step "the classifier's turn"
    g resample
fi

step "the next batch worth labelling"
g batch --size 20 --key "make-run-$(date +%F)" --holder you

if [ "${SERVE:-1}" = 0 ]; then
    printf '\nDone. `make run` without SERVE=0 serves the dashboard; %s --help shows the commands.\n' "$gleaner"
    exit 0
fi
step "the service (Ctrl-C stops it): open the login link, once"
if [ -d "$images" ]; then exec "$gleaner" serve --data "$data" --port "${PORT:-8080}" --allow-root "$images"; fi
exec "$gleaner" serve --data "$data" --port "${PORT:-8080}"
