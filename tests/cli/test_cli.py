"""The command line, end to end, on real photos: Debian's Tux Paint stamps, whose folders say what is on them.

Runs the built program in scratch folders. Reports "skipped" (77) where the stamps or the backbone are missing.
"""

import ast
import csv
import hashlib
import json
import math
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import unittest

STAMPS = "/usr/share/tuxpaint/stamps"
GLEANER = os.path.join(os.environ.get("GLN_BINARY_DIR", "build/release"), "cli", "gleaner")
BACKBONE = os.path.join(os.environ.get("GLN_DEPS", os.path.expanduser("~/.cache/gleaner/deps")),
                        "backbones", "efficientnet-lite0.json")
FOLDERS = ["animals", "food", "household", "plants", "space", "vehicles"]


def gleaner(*arguments, data=None, check=0, env=None):
    """Runs the program; fails the test unless it ends with `check` (None: any)."""
    command = [GLEANER, arguments[0]] + (["--data", data] if data else []) + [str(a) for a in arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=env)
    if check is not None and done.returncode != check:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def as_json(*arguments, data=None):
    return json.loads(gleaner(*arguments, "--json", data=data).stdout)


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gleaner-cli-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.data = os.path.join(self.folder, "data")

    def photos(self, n_each, folders=FOLDERS):
        """Copies of stamps, n_each of every folder; returns the folder."""
        root = os.path.join(self.folder, "photos")
        for name in folders:
            found = sorted(os.path.join(base, f) for base, _, files in os.walk(os.path.join(STAMPS, name))
                           for f in files if f.endswith(".png"))
            os.makedirs(os.path.join(root, name), exist_ok=True)
            for i, path in enumerate(found[:n_each]):
                shutil.copyfile(path, os.path.join(root, name, f"{i:03d}-{os.path.basename(path)}"))
        return root

    def init(self, *more):
        gleaner("init", "--backbone", BACKBONE, "--project", "p", *more, data=self.data)


class Usage(Scratch):
    def test_every_command_explains_itself(self):
        listed = gleaner("--help").stdout
        for command in ["init", "ingest", "embed", "backbone", "label", "resample", "batch", "propose", "forecast", "check", "drift", "export",
                        "forget", "serve", "doctor", "token", "version"]:
            self.assertIn(command, listed)
            text = gleaner(command, "--help").stdout
            self.assertIn(f"usage: gleaner {command}", text)
            self.assertIn("--json" if command not in ("serve", "export") else "--help", text)

    def test_wrong_usage_is_2(self):
        for arguments in (["frobnicate"], ["batch"], ["ingest"], ["label"], ["batch", "--size", "x"], ["init", "--nope"],
                          ["serve", "--port", "99999"], ["embed"], ["embed", "a.jpg"], ["backbone"], ["backbone", "show"],
                          ["backbone", "compare", "x", "-b", "y"], ["ingest", "x", "--precision", "f64"],
                          ["embed", "a.jpg", "-o", "out.bin", "-b", "m.json"], ["export", "--format", "xls"],
                          ["export", "--batch", "3", "--people"], ["token"], ["batch", "--size"]):
            done = gleaner(*arguments, check=2)
            self.assertTrue(done.stderr.startswith("gleaner"), done.stderr)

    def test_absent_data_directory_says_what_to_do(self):
        for command in (["resample"], ["doctor"], ["batch", "--size", "3"], ["export"], ["forecast"], ["check"], ["drift"]):
            done = gleaner(*command, data=self.data, check=1)
            self.assertIn("gleaner init", done.stderr + done.stdout)

    def test_version_is_json_too(self):
        self.assertIn("version", as_json("version"))


class EndToEnd(Scratch):
    def test_from_a_folder_of_photos_to_a_balanced_batch(self):
        root = self.photos(14)
        n = sum(len(files) for _, _, files in os.walk(root))
        shutil.copyfile(os.path.join(root, "space", sorted(os.listdir(os.path.join(root, "space")))[0]),
                        os.path.join(root, "again.png"))
        with open(os.path.join(root, "readme.txt"), "w", encoding="utf-8") as f:
            f.write("not a photo\n")
        self.init("--classes", ",".join(FOLDERS), "--price", "0.1", "--seconds", "6")
        summary = as_json("ingest", root, data=self.data)
        self.assertEqual((summary["added"], summary["duplicates"], summary["refused"]), (n, 1, 1))
        self.assertEqual(as_json("ingest", root, data=self.data)["unchanged"], n + 2)

        resampled = as_json("resample", data=self.data)
        self.assertEqual(resampled["images"], n)
        self.assertIn("no labels", resampled["classifier"])
        self.assertTrue(as_json("resample", data=self.data)["unchanged"])

        cold = as_json("batch", "--size", 30, "--seed", 5, data=self.data)
        self.assertEqual(len(cold["items"]), 30)
        self.assertEqual(len({item["image"] for item in cold["items"]}), 30)
        self.assertTrue(all(item["reason"] for item in cold["items"]))
        classes = {os.path.basename(os.path.dirname(item["path"])) for item in cold["items"]}
        self.assertGreaterEqual(len(classes), 5, "a cold start sees nearly every kind")
        self.assertAlmostEqual(cold["price"], 3.0)

        taken = as_json("label", "--batch", cold["id"], "--folders", "--root", root, "--source", "simulated", data=self.data)
        self.assertEqual(taken, {"taken": 30, "unchanged": 0, "rejected": 0})
        resampled = as_json("resample", data=self.data)
        self.assertEqual(resampled["labels"], 30)
        self.assertIn("SVM", resampled["classifier"])
        audited = sum(item["arm"] == "audit" for item in cold["items"])
        self.assertGreater(audited, 0)
        self.assertEqual(as_json("forecast", data=self.data)["audit"]["images"], audited)

        batch = as_json("batch", "--size", 20, "--target", "space=50%", "--seed", 5, "--key", "k", data=self.data)
        self.assertEqual(len(batch["items"]), 20)
        self.assertFalse({i["image"] for i in batch["items"]} & {i["image"] for i in cold["items"]})
        feasibility = {c["class"]: c for c in batch["feasibility"]["classes"]}
        self.assertAlmostEqual(feasibility["space"]["target_share"], 0.5)
        repeated = as_json("batch", "--size", 20, "--target", "space=50%", "--seed", 5, "--key", "k", data=self.data)
        self.assertEqual(repeated["id"], batch["id"])
        text = gleaner("batch", "--show", batch["id"], data=self.data).stdout
        self.assertIn(f"batch {batch['id']}: 20 images", text)
        gleaner("batch", "--release", batch["id"], data=self.data)

        # out again: CSV and JSON lines say the same, and a round trip changes nothing
        rows = list(csv.DictReader(gleaner("export", data=self.data).stdout.splitlines()))
        lines = [json.loads(line) for line in gleaner("export", "--format", "jsonl", data=self.data).stdout.splitlines()]
        self.assertEqual(len(rows), 30)
        self.assertEqual([r["path"] for r in rows], [line["path"] for line in lines])
        for row in rows:
            copied = os.path.basename(row["path"]) == "again.png"  # the other name of a photo of space
            self.assertEqual(row["class"], "space" if copied else os.path.basename(os.path.dirname(row["path"])))
        out = os.path.join(self.folder, "labels.csv")
        gleaner("export", "--output", out, data=self.data)
        self.assertEqual(as_json("label", "--csv", out, data=self.data), {"taken": 0, "unchanged": 30, "rejected": 0})
        done = gleaner("doctor", "--thorough", data=self.data)
        self.assertNotIn("BAD", done.stdout)

    def test_a_lead_learns_what_labels_bring_which_are_wrong_and_what_is_new(self):
        folders = ["animals", "food", "household", "vehicles"]
        root = self.photos(30, folders)
        self.init("--classes", ",".join(FOLDERS), "--price", "0.1")
        gleaner("ingest", root, data=self.data)
        for command in ("forecast", "check", "drift"):
            self.assertIn("Nothing was resampled", gleaner(command, data=self.data).stdout)
        gleaner("resample", data=self.data)
        self.assertIn("No labels yet", gleaner("check", data=self.data).stdout)
        self.assertIn("Not enough labels to say: 0", gleaner("forecast", data=self.data).stdout)

        # 25 labels of each of four classes, five of them wrong on purpose: animals that are called vehicles
        wrong, lines = set(), ["path,class"]
        for folder in folders:
            for i, name in enumerate(sorted(os.listdir(os.path.join(root, folder)))[:25]):
                path = os.path.join(root, folder, name)
                if folder == "animals" and i % 5 == 0:
                    wrong.add(path)
                lines.append(f"{path},{'vehicles' if path in wrong else folder}")
        table = os.path.join(self.folder, "labels.csv")
        with open(table, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        gleaner("label", "--csv", table, data=self.data)
        gleaner("resample", data=self.data)
        check = as_json("check", "--limit", 10, data=self.data)
        self.assertEqual((check["labels"], check["checked"]), (100, 100))
        found = {item["path"] for item in check["items"]}
        # few are named with so few labels, and most of these are wrong indeed
        self.assertGreaterEqual(len(found & wrong), 2, check)
        self.assertGreater(2 * len(found & wrong), len(found), check)
        for item in check["items"]:
            if item["path"] in wrong:
                self.assertEqual((item["given"], item["suggested"]), ("vehicles", "animals"))
        # a label that is mended is no longer listed, without another resample
        mended = next(item for item in check["items"] if item["path"] in wrong)
        with open(table, "w", encoding="utf-8") as f:
            f.write(f"path,class\n{mended['path']},animals\n")
        gleaner("label", "--csv", table, data=self.data)
        self.assertNotIn(mended["path"], gleaner("check", "--limit", 1000, data=self.data).stdout)

        # second looks compete with new images in one batch, and are stored as what they are
        suspects = {item["image"] for item in as_json("check", "--limit", 1000, data=self.data)["items"]}
        plain = as_json("batch", "--size", 10, "--seed", 2, data=self.data)
        self.assertIsNone(plain["feasibility"]["relabel"])
        self.assertNotIn("check", {item["arm"] for item in plain["items"]})
        gleaner("batch", "--release", plain["id"], data=self.data)
        batch = as_json("batch", "--size", 10, "--seed", 2, "--relabel", "0.3", data=self.data)
        looks = [item for item in batch["items"] if item["arm"] == "check"]
        self.assertEqual((len(batch["items"]), len(looks)), (10, batch["feasibility"]["relabel"]["images"]))
        self.assertEqual(len(looks), min(3, len(suspects)))
        self.assertGreaterEqual(len(looks), 1)
        self.assertLessEqual({item["image"] for item in looks}, suspects)
        self.assertTrue(all(item["reason"].startswith("second look: labelled") and item["label"] for item in looks))
        with open(table, "w", encoding="utf-8") as f:
            f.write("".join(["path,class\n"] + [f"{item['path']},{os.path.basename(os.path.dirname(item['path']))}\n" for item in looks]))
        gleaner("label", "--batch", batch["id"], "--csv", table, data=self.data)
        gleaner("batch", "--release", batch["id"], data=self.data)
        database = sqlite3.connect(f"file:{self.data}/gleaner.db?mode=ro", uri=True)
        for item in looks:
            rows = database.execute("SELECT c.name, l.review, l.ended_ms IS NULL FROM label l JOIN class c ON c.id = l.class_id"
                                    " WHERE l.image_id = ? ORDER BY l.id", (item["image"],)).fetchall()
            now = os.path.basename(os.path.dirname(item["path"]))
            self.assertEqual(rows[-1], (now, "confirmed" if now == item["label"] else "corrected", 1))
            self.assertEqual((rows[-2][0], rows[-2][2]), (item["label"], 0), "the label before it stays in the history")
        database.close()
        again = as_json("check", "--limit", 1000, data=self.data)["items"]
        self.assertFalse({item["image"] for item in looks} & {item["image"] for item in again})
        gleaner("batch", "--size", 5, "--relabel", "much", data=self.data, check=2)
        auto = as_json("batch", "--size", 10, "--relabel", "auto", data=self.data)
        gleaner("batch", "--release", auto["id"], data=self.data)
        said = auto["feasibility"]["relabel"]
        looks = [item for item in auto["items"] if item["arm"] == "check"]
        self.assertEqual(said["images"], len(looks))
        self.assertLessEqual(len(looks), 5)
        self.assertAlmostEqual(said["expected_wrong"], sum(item["p_wrong"] for item in looks))
        self.assertTrue(all(item["p_wrong"] * said["worth"] > 1.0 for item in looks))
        gleaner("resample", data=self.data)

        forecast = as_json("forecast", "--labels", 100, "--point-value", 5, data=self.data)
        self.assertIn(forecast["verdict"], ("worth-it", "not-worth-it"))
        self.assertEqual((forecast["labels_now"], forecast["labels_more"]), (100, 100))
        self.assertAlmostEqual(forecast["price"], 10.0)
        self.assertTrue(0.0 <= forecast["p_worth"] <= 1.0)
        self.assertTrue(forecast["low"] <= forecast["gain"] <= forecast["high"])
        self.assertEqual({c["class"] for c in forecast["classes"] if c["gain"] is not None}, set(folders))
        self.assertGreaterEqual(len(forecast["curve"]), 3)
        cheap = as_json("forecast", "--labels", 100, "--point-value", 1000000, "--price", 0.01, data=self.data)
        dear = as_json("forecast", "--labels", 100, "--point-value", 0.01, "--price", 1000000, data=self.data)
        self.assertGreater(cheap["p_worth"], dear["p_worth"])
        self.assertEqual((dear["verdict"], dear["p_worth"]), ("not-worth-it", 0.0))
        self.assertIn("worth it if a point is worth more", gleaner("forecast", "--labels", 100, data=self.data).stdout
                      + "worth it if a point is worth more" * (forecast["gain"] <= 0.0005))
        gleaner("forecast", "--labels", 0, data=self.data, check=1)

        # photos of another kind arrive
        self.assertEqual(as_json("drift", data=self.data)["verdict"], "unknown")
        gleaner("ingest", os.path.join(STAMPS, "plants"), data=self.data)
        gleaner("resample", data=self.data)
        drift = as_json("drift", data=self.data)
        self.assertEqual(drift["verdict"], "found", drift["words"])
        self.assertEqual(drift["reference"], 120)
        self.assertGreaterEqual(len(drift["clusters"]), 1)
        self.assertIn("The pool has changed", gleaner("drift", data=self.data).stdout)
        self.assertEqual(as_json("forecast", data=self.data)["agreements"], [], "the same labels again are no other model")

        # the next batches look there, and say so, less as labels of it come in, and not at all once someone accepted it
        def taken(n):
            batch = as_json("batch", "--size", n, "--seed", 3, data=self.data)
            there = [item for item in batch["items"] if item["reason"].startswith("drift")]
            if n == 10:
                gleaner("batch", "--release", batch["id"], data=self.data)
            return batch, there

        batch, there = taken(10)
        said = batch["feasibility"]["drift"]
        self.assertEqual(said["images"], len(there))
        self.assertGreaterEqual(len(there), 1)
        self.assertTrue(0.0 < said["share"] <= 0.3)
        self.assertTrue(all(item["arm"] == "explore" and "holds" in item["reason"] and "/plants/" in item["path"] for item in there), there)
        self.assertIn("drift was found and not accepted", gleaner("batch", "--show", batch["id"], data=self.data).stdout)
        before = {r["cluster"]: r["labels"] for r in said["regions"]}
        batch, there = taken(15)
        with open(table, "w", encoding="utf-8") as f:
            f.write("".join(["path,class\n"] + [f"{item['path']},animals\n" for item in batch["items"] if "/plants/" in item["path"]]))
        gleaner("label", "--batch", batch["id"], "--csv", table, data=self.data)
        gleaner("batch", "--release", batch["id"], data=self.data)
        later = taken(10)[0]["feasibility"]["drift"]
        self.assertLess(later["share"], said["share"])
        self.assertGreater(sum(r["labels"] for r in later["regions"]), sum(before.values()))
        self.assertTrue(as_json("drift", "--accept", data=self.data)["accepted"])
        batch, there = taken(10)
        self.assertEqual((batch["feasibility"]["drift"], there), (None, []))
        gleaner("resample", "--force", data=self.data)
        drift = as_json("drift", data=self.data)
        self.assertEqual((drift["verdict"], drift["arrivals"], drift["accepted"]), ("unknown", 0, False))
        again = as_json("forecast", data=self.data)["agreements"]
        self.assertEqual(len(again), 1, "two models on unlabelled images")

    def test_a_resample_killed_at_any_moment_goes_on_to_the_same_result(self):
        root = self.photos(20)
        self.init("--classes", ",".join(FOLDERS))
        gleaner("ingest", root, data=self.data)
        table = os.path.join(self.folder, "labels.csv")
        with open(table, "w", encoding="utf-8") as f:
            f.write("path,class\n")
            for folder in FOLDERS:
                f.writelines(f"{os.path.join(root, folder, name)},{folder}\n" for name in sorted(os.listdir(os.path.join(root, folder)))[:10])
        gleaner("label", "--csv", table, data=self.data)
        calm = os.path.join(self.folder, "calm")
        shutil.copytree(self.data, calm)
        began = time.monotonic()
        gleaner("resample", data=calm)
        took = time.monotonic() - began

        def published(data):
            database = sqlite3.connect(f"file:{data}/gleaner.db?mode=ro", uri=True)
            rows = database.execute("SELECT * FROM sampling ORDER BY image_id").fetchall()
            # an id that a run took and did not live to publish is not given again: clusters are compared by their order
            ids = sorted({row[2] for row in rows})
            rows = [row[:2] + (ids.index(row[2]),) + row[3:] for row in rows]
            broken = database.execute("PRAGMA integrity_check").fetchall() + database.execute("PRAGMA foreign_key_check").fetchall()
            database.close()
            self.assertEqual(broken, [("ok",)])
            return rows

        wanted, batch, n_killed = published(calm), as_json("batch", "--size", 10, "--seed", 3, data=calm), 0
        self.assertGreater(len(wanted), 100)
        for moment in range(10):
            data = os.path.join(self.folder, f"killed-{moment}")
            shutil.copytree(self.data, data)
            running = subprocess.Popen([GLEANER, "resample", "--data", data, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(took * moment / 10)
            running.kill()
            n_killed += running.wait() == -signal.SIGKILL
            gleaner("check", data=data) # opening finishes or removes a publication that was cut off
            self.assertIn(published(data), ([], wanted), "all of a state is published, or nothing")
            gleaner("resample", data=data)
            self.assertEqual(published(data), wanted, f"killed after {moment} of 10 parts of its time")
            again = as_json("batch", "--size", 10, "--seed", 3, data=data)
            self.assertEqual([item["image"] for item in again["items"]], [item["image"] for item in batch["items"]])
            shutil.rmtree(data)
        self.assertGreaterEqual(n_killed, 3)

    def test_a_group_is_labelled_by_an_audit_of_a_few_and_that_is_undone(self):
        root = self.photos(40, ["animals", "vehicles"])
        self.init("--classes", "animals,vehicles", "--price", "0.1")
        gleaner("ingest", root, data=self.data)
        self.assertIn("No audit was asked for yet.", gleaner("propose", "--audits", data=self.data).stdout)
        table = os.path.join(self.folder, "labels.csv")

        def back(items, *more):
            lines = [f"{item['path']},{os.path.basename(os.path.dirname(item['path']))}\n" for item in items]
            with open(table, "w", encoding="utf-8") as f:
                f.write("".join(["path,class\n"] + lines))
            gleaner("label", "--csv", table, *more, data=self.data)

        back([{"path": os.path.join(root, name, photo)} for name in ("animals", "vehicles")
              for photo in sorted(os.listdir(os.path.join(root, name)))[:15]])
        gleaner("resample", data=self.data)
        easy = ("--bound", 0.4, "--confidence", 0.6)
        proposals = as_json("propose", *easy, data=self.data)
        self.assertEqual((proposals["bound"], proposals["confidence"]), (0.4, 0.6))
        first = next(item for item in proposals["items"] if item["kind"] == "clusters")
        text = gleaner("propose", *easy, "--all", data=self.data).stdout
        self.assertTrue(text.startswith(proposals["words"]), text)
        self.assertIn(f"{first['images']:.0f}", next(line for line in text.splitlines() if line.startswith("  clusters ")))

        take = ("propose", "--audit", "--clusters", *easy, "--seed", 3, "--key", "k", "--holder", "anna")
        audit = as_json(*take, data=self.data)
        self.assertEqual((audit["state"], audit["kind"], audit["images"]), ("auditing", "clusters", first["images"]))
        self.assertEqual(as_json(*take, data=self.data)["id"], audit["id"])
        self.assertIn(f"audit {audit['id']}: all clusters", gleaner("propose", "--audits", data=self.data).stdout)
        gleaner("propose", "--accept", audit["id"], data=self.data, check=1)  # no label of the sample is back
        batch = as_json("batch", "--show", audit["batch"], data=self.data)
        self.assertEqual(len(batch["items"]), audit["sample"])
        self.assertEqual({item["arm"] for item in batch["items"]}, {"proposal"})
        back(batch["items"], "--batch", audit["batch"])
        passed = as_json("propose", "--show", audit["id"], data=self.data)
        self.assertEqual((passed["state"], passed["answered"]), ("passed", audit["sample"]), passed["words"])

        def labels(*more):
            return [json.loads(line) for line in gleaner("export", "--format", "jsonl", *more, data=self.data).stdout.splitlines()]

        people = labels()
        accepted = as_json("propose", "--accept", audit["id"], data=self.data)
        self.assertEqual((accepted["state"], accepted["labels"]), ("accepted", audit["images"] - audit["sample"]))
        proposed = [label for label in labels() if label["source"] == "proposed"]
        self.assertEqual([label["audit"] for label in proposed], [audit["id"]] * accepted["labels"])
        self.assertTrue(all(label["error_bound"] <= 0.4 for label in proposed))
        self.assertEqual(labels("--people"), people)
        self.assertEqual(as_json("propose", "--undo", audit["id"], data=self.data)["state"], "undone")
        self.assertEqual(labels(), people)

        # what is wrong is named, and nothing is begun
        for arguments, code, said in ((("--show", 99), 1, "no audit 99"), (("--accept", 99), 1, "no audit 99"),
                                      (("--bound", 2), 1, "bound: 2"), (("--audit",), 2, "say of what"),
                                      (("--size", 5), 2, "go with --audit"), (("--audits", "--undo", 1), 2, "at a time"),
                                      (("--audit", "--cluster", 987654, "--class", "animals"), 1, "987654"),
                                      (("--audit", "--duplicates", "--clusters"), 2, "say of what")):
            self.assertIn(said, gleaner("propose", *arguments, data=self.data, check=code).stderr)
        self.assertEqual(len(as_json("propose", "--audits", data=self.data)["items"]), 1)

    def test_labels_from_files_are_taken_line_by_line(self):
        root = self.photos(2, ["food"])
        paths = sorted(os.path.join(root, "food", f) for f in os.listdir(os.path.join(root, "food")))
        self.init()
        gleaner("ingest", root, data=self.data)
        table = os.path.join(self.folder, "in.csv")
        with open(table, "w", encoding="utf-8", newline="") as f:
            f.write("\ufeffpath,class,seconds,extra\r\n")
            f.write(f'"{paths[0]}","fruit, ""fresh""",3.5,x\r\n')
            f.write("/nowhere.png,fruit,1,x\r\n")
            f.write(f"{paths[1]},,1,x\r\n")
            f.write(f"{paths[1]},fruit,soon,x\r\n\r\n")
        done = gleaner("label", "--csv", table, "--add-classes", "--strict", data=self.data, check=3)
        self.assertIn("1 labels taken", done.stdout)
        for line in (3, 4, 5):
            self.assertIn(f"in.csv:{line}:", done.stderr)
        rows = list(csv.DictReader(gleaner("export", data=self.data).stdout.splitlines()))
        self.assertEqual(rows[0]["class"], 'fruit, "fresh"')
        self.assertEqual(rows[0]["seconds"], "3.5")

        lines = os.path.join(self.folder, "in.jsonl")
        with open(lines, "w", encoding="utf-8") as f:
            f.write(json.dumps({"path": paths[1], "class": "obst", "annotator": "ä"}) + "\n\n{oops\n[1]\n")
            f.write(json.dumps({"image": -3, "class": "obst"}) + "\n")
            f.write(json.dumps({"path": paths[0], "class": None}) + "\n")
        self.assertEqual(as_json("label", "--jsonl", lines, "--add-classes", data=self.data),
                         {"taken": 2, "unchanged": 0, "rejected": 3})
        rows = list(csv.DictReader(gleaner("export", data=self.data).stdout.splitlines()))
        self.assertEqual([r["class"] for r in rows], ["obst"])
        for content in (b"", b"a,b\n1,2\n", b'path,class\n"open,quote\n', b"path,class\n\x00\n"):
            with open(table, "wb") as f:
                f.write(content)
            gleaner("label", "--csv", table, data=self.data, check=1)
        gleaner("label", "--csv", os.path.join(self.folder, "absent"), data=self.data, check=1)

    def test_bad_files_are_refused_by_name_with_the_reason(self):
        root = self.photos(2, ["food"])
        good = sorted(os.listdir(os.path.join(root, "food")))[0]
        with open(os.path.join(root, "food", good), "rb") as f:
            png = f.read()
        header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 60000, 60000, 8, 2, 0, 0, 0, 0)
        bad = {"empty.png": b"", "torn.png": png[:len(png) // 2], "text.jpg": b"hello", "huge.png": header,
               "gif.png": b"GIF89a" + bytes(100), "noise.webp": os.urandom(1000)}
        for name, content in bad.items():
            with open(os.path.join(root, name), "wb") as f:
                f.write(content)
        with open(os.path.join(root, "big.jpg"), "wb") as f:
            f.truncate(70 << 20)
        shutil.copyfile(os.path.join(root, "food", good), os.path.join(root, "really-a-png.jpg"))
        os.mkfifo(os.path.join(root, "pipe.jpg"))
        self.init()
        done = gleaner("ingest", "--strict", root, data=self.data, check=3)
        for name in list(bad) + ["big.jpg"]:
            self.assertIn(name, done.stdout)
        self.assertIn("7 refused", done.stdout)
        self.assertIn("2 new images", done.stdout)
        self.assertNotIn("really-a-png", done.stdout)

    def test_killed_ingest_goes_on_where_it_stopped(self):
        root = self.photos(40)
        n = sum(len(files) for _, _, files in os.walk(root))
        self.init()
        process = subprocess.Popen([GLEANER, "ingest", "--data", self.data, root], stderr=subprocess.DEVNULL)
        time.sleep(1.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        summary = as_json("ingest", root, data=self.data)
        self.assertEqual(summary["unchanged"] + summary["added"], n)
        gleaner("doctor", "--thorough", data=self.data)

    def test_interrupted_ingest_keeps_what_it_has(self):
        root = self.photos(40)
        n = sum(len(files) for _, _, files in os.walk(root))
        self.init()
        process = subprocess.Popen([GLEANER, "ingest", "--data", self.data, root], stderr=subprocess.PIPE, text=True)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
        if process.returncode != 0:
            self.assertIn("goes on from there", words)
        summary = as_json("ingest", root, data=self.data)
        self.assertEqual(summary["unchanged"] + summary["added"], n)

    def test_full_disk_is_an_error_not_a_corruption(self):
        """A file-size limit stands in for a full disk: the write that crosses it fails in the same place."""
        root = self.photos(30)
        n = sum(len(files) for _, _, files in os.walk(root))
        self.init()
        limited = subprocess.run(["sh", "-c", 'ulimit -f 200; exec "$@"', "sh", GLEANER, "ingest", "--data", self.data, root],
                                 capture_output=True, text=True, timeout=300)
        self.assertEqual(limited.returncode, 1, limited.stdout + limited.stderr)
        gleaner("doctor", "--thorough", data=self.data)
        summary = as_json("ingest", root, data=self.data)
        self.assertEqual(summary["unchanged"] + summary["added"], n)

    def test_damage_is_said(self):
        root = self.photos(3, ["food"])
        self.init()
        gleaner("ingest", root, data=self.data)
        vectors = os.path.join(self.data, "vectors", os.listdir(os.path.join(self.data, "vectors"))[0])
        with open(vectors, "r+b") as f:
            f.seek(-600, os.SEEK_END)
            byte = f.read(1)
            f.seek(-600, os.SEEK_END)
            f.write(bytes([byte[0] ^ 4]))
        done = gleaner("doctor", data=self.data, check=1)
        self.assertIn("BAD", done.stdout)
        done = gleaner("ingest", root, data=self.data, check=1)
        self.assertIn(".vec", done.stderr)

    def test_photos_that_have_to_go_are_gone_and_stay_away(self):
        root = self.photos(6, ["food", "plants"])
        self.init("--classes", "food,plants")
        gleaner("ingest", root, "--quiet", data=self.data)
        gleaner("label", "--folders", "--root", root, data=self.data)
        gleaner("resample", "--quiet", data=self.data)
        path = os.path.join(root, "food", sorted(os.listdir(os.path.join(root, "food")))[2])
        told = as_json("forget", path, 9, data=self.data)  # only says it
        self.assertEqual((told["removed"], [one["image"] for one in told["items"]][1], told["items"][0]["path"]), (False, 9, path))
        self.assertEqual(as_json("backbone", "list", data=self.data)["projects"][0]["backbones"][0]["vectors"], 12)
        self.assertIn("--yes", gleaner("forget", 9, data=self.data).stdout)
        gleaner("forget", check=2)
        self.assertIn("nowhere.png", gleaner("forget", "--yes", 9, "nowhere.png", data=self.data, check=1).stderr)
        gleaner("forget", 9, data=self.data)  # which is still there
        self.assertIn("2 removed", gleaner("forget", "--yes", os.path.relpath(path), 9, data=self.data).stdout)
        self.assertIn("no image 9", gleaner("forget", 9, data=self.data, check=1).stderr)
        self.assertTrue(os.path.exists(path))
        rows = list(csv.DictReader(gleaner("export", data=self.data).stdout.splitlines()))
        self.assertEqual(len(rows), 10)
        self.assertNotIn(path, [row["path"] for row in rows])
        done = as_json("ingest", root, "--quiet", data=self.data)
        self.assertEqual((done["added"], done["unchanged"]), (0, 12))
        gleaner("resample", "--quiet", data=self.data)
        self.assertEqual({finding["status"] for finding in as_json("doctor", "--thorough", data=self.data)}, {"ok"})

    def test_beside_a_server_what_reads_works_and_what_writes_is_told_the_route(self):
        root = self.photos(6, ["food", "plants"])
        self.init("--classes", "food,plants")
        gleaner("ingest", root, "--quiet", data=self.data)
        gleaner("resample", "--quiet", data=self.data)
        batch = as_json("batch", "--size", 2, data=self.data)["id"]
        gleaner("batch", "--release", batch, data=self.data)
        gleaner("label", "--folders", "--root", root, data=self.data)
        gleaner("resample", "--quiet", data=self.data)
        alone = as_json("propose", data=self.data)
        server = subprocess.Popen([GLEANER, "serve", "--data", self.data, "--port", "0"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        try:
            self.assertIn("listening on http://127.0.0.1:", server.stdout.readline())
            self.assertIn("/login?code=", server.stdout.readline())
            for command, route in ((["resample"], "POST /v1/projects/{project}/runs"),
                                   (["ingest", root], "POST /v1/projects/{project}/images"),
                                   (["label", "--folders"], "POST /v1/projects/{project}/labels"),
                                   (["batch", "--size", 1], "POST /v1/projects/{project}/batches"),
                                   (["batch", "--release", batch], "DELETE /v1/projects/{project}/batches/{id}"),
                                   (["propose", "--audit", "--duplicates"], "POST /v1/projects/{project}/audits"),
                                   (["propose", "--accept", 1], "POST /v1/projects/{project}/audits/{id}/accept"),
                                   (["drift", "--accept"], "POST /v1/projects/{project}/drift/accept"),
                                   (["backbone", "use", "efficientnet-lite0"], "PATCH /v1/projects/{project}"),
                                   (["forget", "--yes", 1], "DELETE /v1/projects/{project}/images/{id}"),
                                   (["token", "add"], "no route")):
                done = gleaner(*command, data=self.data, check=4)
                self.assertIn(f"process {server.pid} ", done.stderr)
                self.assertIn(route, done.stderr)
            gleaner("export", data=self.data)
            listed = as_json("backbone", "list", data=self.data)
            self.assertEqual(listed["projects"][0]["backbones"][0]["vectors"], 12)
            gleaner("backbone", "show", "efficientnet-lite0", data=self.data)
            self.assertEqual(as_json("propose", data=self.data), alone)
            self.assertEqual(as_json("propose", "--audits", data=self.data)["items"], [])
            self.assertEqual(as_json("batch", "--show", batch, data=self.data)["id"], batch)
            self.assertEqual(as_json("token", "list", data=self.data), [])
            self.assertEqual({finding["status"] for finding in as_json("doctor", "--thorough", data=self.data)}, {"ok"})
        finally:
            server.terminate()
            server.communicate(timeout=30)
        self.assertEqual(server.returncode, 0)


class Embed(Scratch):
    def vectors(self, path):
        """The rows of an .npy file as tuples."""
        with open(path, "rb") as f:
            content = f.read()
        self.assertEqual(content[:8], b"\x93NUMPY\x01\x00")
        length, = struct.unpack("<H", content[8:10])
        self.assertEqual((10 + length) % 64, 0)
        header = ast.literal_eval(content[10:10 + length].decode("ascii"))
        self.assertEqual((header["descr"], header["fortran_order"]), ("<f4", False))
        n, d = header["shape"]
        rows = list(struct.iter_unpack(f"<{d}f", content[10 + length:]))
        self.assertEqual(len(rows), n)
        return rows

    def embed(self, *arguments, check=0):
        return gleaner("embed", "--backbone", BACKBONE, *arguments, check=check)

    def test_a_row_for_each_photo_in_order_and_a_line_for_each_refusal(self):
        root = self.photos(3, ["food", "space"])
        for name, content in (("bad.jpg", b"hello"), ("sub/torn.png", b"\x89PNG\r\n\x1a\n")):
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), "wb") as f:
                f.write(content)
        out, names, refused = (os.path.join(self.folder, n) for n in ("out.npy", "names.txt", "refused.jsonl"))
        summary = json.loads(self.embed(root, "--precision", "f32", "-o", out, "--names", names, "--refused", refused, "--json").stdout)
        good = sorted(os.path.join(base, f) for base, _, files in os.walk(root) for f in files)
        good = [path for path in good if "bad.jpg" not in path and "torn" not in path]
        self.assertEqual((summary["files"], summary["rows"], summary["refused"], summary["dimension"]), (8, 6, 2, 1280))
        with open(names, encoding="utf-8") as f:
            self.assertEqual(f.read().splitlines(), good)
        with open(refused, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual([os.path.basename(line["path"]) for line in lines], ["bad.jpg", "torn.png"])
        self.assertTrue(all(line["reason"] and not line["reason"].startswith("/") for line in lines))
        rows = self.vectors(out)
        self.assertEqual(len(rows), 6)
        for row in rows:
            self.assertAlmostEqual(sum(x * x for x in row), 1, places=4)

        # The precision is given, since the one that is chosen by the clock may differ. The other format, the other order, one thread, hashes: the same rows.
        raw, lines = os.path.join(self.folder, "out.f32"), os.path.join(self.folder, "rows.jsonl")
        done = self.embed(*reversed(good), "--precision", "f32", "-o", raw, "--format", "raw", "--names", lines, "--threads", 1, "--strict", "--quiet")
        self.assertEqual(done.stderr, "")
        self.assertIn("6 vectors of 1280", done.stdout)
        with open(raw, "rb") as f:
            self.assertEqual(list(struct.iter_unpack("<1280f", f.read())), rows[::-1])
        with open(lines, encoding="utf-8") as f:
            entries = [json.loads(line) for line in f]
        self.assertEqual([e["row"] for e in entries], list(range(6)))
        with open(entries[0]["path"], "rb") as f:
            self.assertEqual(entries[0]["sha256"], hashlib.sha256(f.read()).hexdigest())
        done = self.embed(root, "-o", raw, "--format", "raw", "--strict", check=3)
        self.assertIn("bad.jpg: ", done.stderr)

    def test_what_fails_leaves_no_file(self):
        root = self.photos(1, ["food"])
        out = os.path.join(self.folder, "out.npy")
        bad = os.path.join(self.folder, "bad.jpg")
        with open(bad, "wb") as f:
            f.write(b"hello")
        for arguments, words in ((["nowhere", "-o", out], "nowhere"), ([bad, "-o", out], "none of 1 files"),
                                 ([root, "-o", os.path.join(self.folder, "absent", "out.npy")], "absent"),
                                 ([root, "-o", out, "--names", os.path.join(self.folder, "absent", "n")], "absent"),
                                 ([root, "-o", out, "--backbone", "nothing.json"], "nothing.json")):
            self.assertIn(words, self.embed(*arguments, check=1).stderr)
        self.assertEqual([f for f in os.listdir(self.folder) if f.startswith("out.npy")], [])
        with open(out, "wb") as f:
            f.write(b"precious")
        limited = subprocess.run(["sh", "-c", 'ulimit -f 2; exec "$@"', "sh", GLEANER, "embed", "-b", BACKBONE, root, "-o", out],
                                 capture_output=True, text=True, timeout=300)
        self.assertEqual(limited.returncode, 1, limited.stdout + limited.stderr)
        self.assertIn(out, limited.stderr)
        with open(out, "rb") as f:
            self.assertEqual(f.read(), b"precious")


MEAN_COLOUR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "backbones", "mean_colour.json")


class Backbones(Scratch):
    def test_several_in_one_project(self):
        """Two from the start, one switched to, compared on the project's labels, taken out again."""
        made = as_json("init", "--project", "p", "--backbone", BACKBONE, "--backbone", MEAN_COLOUR, "--precision", "f32", data=self.data)
        self.assertEqual(made["backbones"], ["efficientnet-lite0", "mean-colour"])
        gleaner("init", "--project", "p", "--backbone", MEAN_COLOUR, data=self.data)  # is there already
        folder = os.path.join(STAMPS, "food")
        done = as_json("ingest", folder, data=self.data)
        self.assertEqual(done["backfilled"], done["added"])
        refused = gleaner("ingest", os.path.join(STAMPS, "clothes"), "--precision", "bf16", data=self.data, check=1).stderr
        self.assertIn("never mix", refused)

        def listed():
            return {b["name"]: b for b in as_json("backbone", "list", data=self.data)["projects"][0]["backbones"]}

        self.assertEqual([(b["active"], b["precision"], b["vectors"], b["behind"]) for b in listed().values()],
                         [(True, "f32", done["added"], 0), (False, "f32", done["added"], 0)])
        self.assertIn("active", gleaner("backbone", "list", data=self.data).stdout)
        gleaner("label", "--folders", "--root", folder, "--add-classes", data=self.data)
        gleaner("resample", data=self.data)
        compared = as_json("backbone", "compare", "--project", "p", data=self.data)
        self.assertEqual([(b["name"], b["active"]) for b in compared["backbones"]], [("efficientnet-lite0", True), ("mean-colour", False)])
        self.assertIn(compared["use"], listed())
        switched = as_json("backbone", "use", "mean-colour", data=self.data)
        self.assertEqual((switched["changed"], switched["needs_resample"], switched["behind"]), (True, True, 0))
        self.assertIn("until `gleaner resample`", gleaner("backbone", "use", "mean-colour", data=self.data).stdout)
        self.assertIn("mean-colour instead of efficientnet-lite0", gleaner("resample", data=self.data).stdout)
        doctor = gleaner("doctor", data=self.data).stdout
        self.assertEqual(doctor.count("ok   vectors"), 2)
        self.assertIn("mean-colour", gleaner("backbone", "remove", "mean-colour", "--project", "p", data=self.data, check=1).stderr)
        gleaner("backbone", "remove", "efficientnet-lite0", "--project", "p", data=self.data)
        self.assertEqual(list(listed()), ["mean-colour"])
        gleaner("backbone", "use", "absent", data=self.data, check=1)

    def test_add_list_show_verify_remove(self):
        self.init()
        self.assertEqual([(b["name"], b["projects"]) for b in as_json("backbone", "list", data=self.data)["backbones"]],
                         [("efficientnet-lite0", 1)])
        self.assertIn("of 1 projects, p among them", gleaner("backbone", "remove", "efficientnet-lite0", data=self.data, check=1).stderr)
        gleaner("backbone", "remove", "../x", data=self.data, check=1)
        self.assertIn("backbone list", gleaner("backbone", "show", "absent", data=self.data, check=1).stderr)

        again = os.path.join(self.folder, "twice")
        made = as_json("init", "-b", BACKBONE, "-b", BACKBONE, "--project", "q", data=again)
        self.assertEqual((made["backbone"], made.get("backbones")), ("efficientnet-lite0", None))

        # A second one: the same model under another name and pooled elsewhere. Then one that would overwrite it.
        copy = os.path.join(self.folder, "other")
        os.makedirs(copy)
        with open(BACKBONE, encoding="utf-8") as f:
            manifest = json.load(f)
        shutil.copyfile(BACKBONE.replace(".json", ".onnx"), os.path.join(copy, manifest["model"]))
        path = os.path.join(copy, "other.json")

        def write(**changes):
            with open(path, "w", encoding="utf-8") as f:
                json.dump({**manifest, "name": "other", **changes}, f)

        write(dimension=7)
        self.assertIn("dimension 7", gleaner("backbone", "add", path, data=self.data, check=1).stderr)
        write()
        gleaner("backbone", "add", path, data=self.data)
        gleaner("backbone", "add", path, data=self.data)
        write(licence="another")
        self.assertIn("another manifest", gleaner("backbone", "add", path, data=self.data, check=1).stderr)
        self.assertEqual(len(as_json("backbone", "list", data=self.data)["backbones"]), 2)
        exact = as_json("backbone", "show", "other", "--precision", "f32", data=self.data)
        self.assertEqual((exact["dimension"], exact["precision"]), (1280, "f32"))
        verified = as_json("backbone", "verify", "other", data=self.data)
        self.assertEqual(verified["f32"]["identity"], exact["identity"])
        if "bf16" in verified:
            self.assertNotEqual(verified["bf16"]["identity"], exact["identity"])
            self.assertGreater(verified["agreement"], 0.999)
        gleaner("backbone", "remove", "other", data=self.data)
        self.assertIn("fine", gleaner("backbone", "verify", "efficientnet-lite0", data=self.data).stdout)  # its model is still there

    def test_compare_finds_the_better_one(self):
        root = self.photos(14)
        worse = os.path.join(self.folder, "worse")
        os.makedirs(worse)
        with open(BACKBONE, encoding="utf-8") as f:
            manifest = json.load(f)
        shutil.copyfile(BACKBONE.replace(".json", ".onnx"), os.path.join(worse, manifest["model"]))
        manifest["name"] = "nearly blind"
        manifest["input"]["mean"] = [60, 60, 60]  # every photo is the same darkness to it
        with open(os.path.join(worse, "blind.json"), "w", encoding="utf-8") as f:
            json.dump(manifest, f)
        found = as_json("backbone", "compare", root, "--backbone", os.path.join(worse, "blind.json"), "--backbone", BACKBONE,
                        "--precision", "f32", "--quiet")
        self.assertEqual((found["use"], found["classes"]), ("efficientnet-lite0", 6))
        blind, good = found["backbones"]
        self.assertEqual(good["photos"], 84)
        # what is no photo takes no place: notes before, between and behind them
        for folder in FOLDERS:
            for name in ("000", "003-between", "zzz"):
                with open(os.path.join(root, folder, name + ".txt"), "w", encoding="utf-8") as f:
                    f.write("about these photos")
        found = as_json("backbone", "compare", root, "-b", BACKBONE, "-b", BACKBONE, "--per-class", 9, "--precision", "f32", "--quiet")
        self.assertEqual([item["photos"] for item in found["backbones"]], [54, 54])
        for measure in ("nearest_accuracy", "svm_accuracy"):
            self.assertGreater(good[measure], 0.5)
            self.assertGreater(good[measure], blind[measure] + 0.1)
        done = gleaner("backbone", "compare", os.path.join(root, "food"), "-b", BACKBONE, "-b", BACKBONE, check=1)
        self.assertIn("one a class", done.stderr)


class Balance(Scratch):
    def test_batch_is_more_balanced_than_random(self):
        """Cold-start batches of 60 from a long tail against the expectation of random picks from the same pool."""
        root = os.path.join(self.folder, "photos")
        for i, name in enumerate(["symbols", "animals", "town", "food", "plants", "space"]):
            self.photos([60, 40, 24, 12, 6, 3][i], [name])
        counts = {name: len(os.listdir(os.path.join(root, name))) for name in os.listdir(root)}
        self.init()
        gleaner("ingest", root, data=self.data)
        gleaner("resample", data=self.data)

        def entropy(values):
            total = sum(values)
            return -sum(v / total * math.log(v / total) for v in values if v) / math.log(len(counts))

        items = as_json("batch", "--size", 40, "--seed", 3, data=self.data)["items"]
        chosen = dict.fromkeys(counts, 0)
        for item in items:
            chosen[os.path.basename(os.path.dirname(item["path"]))] += 1
        self.assertGreater(entropy(chosen.values()), entropy(counts.values()))


if __name__ == "__main__":
    missing = [name for name, path in (("tuxpaint-stamps-default", STAMPS), ("the default backbone", BACKBONE),
                                       ("the program", GLEANER)) if not os.path.exists(path)]
    if missing:
        print("skipped: " + ", ".join(missing))
        sys.exit(77)
    unittest.main(verbosity=1)
