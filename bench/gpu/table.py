#!/usr/bin/env python3
"""The results of run.sh as a short table: table.py results.jsonl. Needs nothing but Python."""

import json
import sys


def rows_of(path):
    rows = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            try:
                rows.append(json.loads(line))
            except ValueError:
                print(f"not JSON: {line.strip()[:100]}", file=sys.stderr)
    return rows


def name_of(row):
    return str(row.get("model", "")).rsplit("/", 1)[-1].removesuffix(".onnx")


def find(rows, model, **wanted):
    for row in rows:
        if name_of(row) == model and all(row.get(k) == v for k, v in wanted.items()):
            return row
    return {}


def number(value, form):
    return format(value, form) if isinstance(value, (int, float)) else "-"


def main():
    rows = rows_of(sys.argv[1])
    parts = [r for r in rows if "part" in r]
    bad = [r for r in parts if r["result"] not in ("passed", "skipped")]
    print(f"\n{sum(r['result'] == 'passed' for r in parts)} parts passed, {sum(r['result'] == 'skipped' for r in parts)} skipped, {len(bad)} not")
    for row in bad:
        print(f"  {row['result']:<14} {row['part']}")

    models = sorted({name_of(r) for r in rows if "model" in r})
    if models:
        print(f"\n{'network':<20} {'least cos':>10} {'same of 10':>10} {'images/s':>10} {'range':>17} {'torch':>10} {'ratio':>6} {'ceiling':>8} {'fed':>6}")
    decode = next((r for r in rows if r.get("job") == "decode"), {})
    for model in models:
        check, feed, peer = find(rows, model, job="check"), find(rows, model, job="feed"), find(rows, model, job="peer")
        ours = next((r for r in rows if name_of(r) == model and "images_per_s" in r and r.get("job") != "peer"), {})
        rate, other = ours.get("images_per_s"), peer.get("images_per_s")
        spread = f"{ours['least']:.0f}-{ours['most']:.0f}" if ours else "-"
        ceiling = ours.get("share")
        print(f"{model:<20} {number(check.get('least_cosine'), '10.6f')} {number(check.get('same_nearest_of_ten'), '10.4f')} "
              f"{number(rate, '10.0f'):>10} {spread:>17} {number(other, '10.0f'):>10} "
              f"{number(rate / other if rate and other else None, '6.2f'):>6} {number(ceiling, '8.2f'):>8} {number(feed.get('share_of_plan'), '6.2f'):>6}")
        rate = rate or feed.get("plan_images_per_second")
        if rate and decode.get("photos_per_second_a_core") and feed:
            decoders = rate / decode["photos_per_second_a_core"]
            print(f"    a GPU takes {decoders + feed['staging_cores']:.1f} cores: {decoders:.1f} to decode photos of the mix at "
                  f"{decode['photos_per_second_a_core']:.0f} a second and core, {feed['staging_cores']:.1f} to stage them")

    files = dict.fromkeys(r["file"] for r in rows if r.get("job") == "decoder")
    if files:
        print(f"\n{'photos a second':<24} {'Pillow, a core':>15} {'nvJPEG, a thread':>17} {'range':>15} {'threads':>8} {'nvJPEG':>8} {'range':>15}")
    for file in files:
        ways = [r for r in rows if r.get("job") == "decoder" and r["file"] == file]
        pillow = next((r for r in ways if r["by"].startswith("Pillow")), {})
        one = next((r for r in ways if r["by"] == "nvjpeg" and r["threads"] == 1), {})
        every = next((r for r in ways if r["by"] == "nvjpeg" and r["threads"] > 1), {})
        left = any(r["by"] == "nvjpeg" and r["threads"] == 0 for r in ways)
        spread = [f"{r['least']:.0f}-{r['most']:.0f}" if r else "-" for r in (one, every)]
        print(f"{file:<24} {number(pillow.get('photos_per_second'), '15.0f'):>15} {number(one.get('photos_per_second'), '17.0f'):>17} {spread[0]:>15} "
              f"{number(every.get('threads'), 'd'):>8} {number(every.get('photos_per_second'), '8.0f'):>8} {spread[1]:>15}"
              f"{'  too large or too rare for nvJPEG: the processor decodes it' if left else ''}")

    jobs = [r for r in rows if r.get("job") in ("neighbours", "kmeans", "svm", "pca", "cover") and "peer" not in r]
    if jobs:
        print(f"\n{'job':<12} {'rows':>10} {'seconds':>10} {'floor':>8} {'torch':>10} {'ratio':>6} {'wrong':>6}")
    for row in jobs:
        peer = next((r for r in rows if r.get("job") == row["job"] and "peer" in r), {})
        ratio = peer["seconds"] / row["seconds"] if peer and row["seconds"] > 0 else None
        print(f"{row['job']:<12} {row['n']:>10} {number(row.get('seconds'), '10.4f')} {number(row.get('floor_s'), '8.4f'):>8} "
              f"{number(peer.get('seconds'), '10.4f'):>10} {number(ratio, '6.2f'):>6} {row.get('wrong', '-'):>6}")


if __name__ == "__main__":
    main()
