"""Runs: registering photos, resampling, progress, stopping."""
import os
import shutil
import time

from support import PATIENCE_S, STAMPS, HttpTest, every_item, main

RUNS = "/v1/projects/zoo/runs"


class Runs(HttpTest):
    def register(self, paths, project="zoo"):
        return self.pool.admin.post(f"/v1/projects/{project}/images", {"paths": paths})

    def fresh(self, name, n):
        """A folder below the allowed root with photos that no project holds yet."""
        folder = os.path.join(self.pool.new_photos, name)
        os.makedirs(folder)
        source = os.path.join(STAMPS, "town/roadsigns")
        for file in sorted(f for f in os.listdir(source) if f.endswith(".png"))[:n]:
            shutil.copyfile(os.path.join(source, file), os.path.join(folder, file))
        return folder

    def test_registered_photos_are_embedded(self):
        folder = self.fresh("signs", 5)
        with open(os.path.join(folder, "bad.png"), "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n and nothing more")
        got = self.register([folder], "empty")
        run = got.json
        self.assertEqual((got.status, run["kind"], got.headers["Location"]),
                         (202, "ingest", f"/v1/projects/empty/runs/{run['id']}"))
        done = self.pool.wait_run("empty", run["id"])
        summary = done["summary"]
        self.assertEqual((summary["found"], summary["added"], summary["refused"]), (6, 5, 1))
        self.assertIsNotNone(done["ended"])
        project = self.pool.viewer.get("/v1/projects/empty").json
        self.assertEqual((project["images"], project["refused"]), (5, 1))
        again = self.pool.wait_run("empty", self.register([folder], "empty").json["id"])["summary"]
        self.assertEqual((again["added"], again["unchanged"]), (0, 6))

    def test_only_what_lies_below_an_allowed_root_is_registered(self):
        root = self.pool.new_photos
        outside = os.path.join(self.pool.folder, "outside")
        os.makedirs(outside)
        os.symlink(outside, os.path.join(root, "link"))
        os.makedirs(root + "-beside")
        for path in ("/etc", "/", "/etc/passwd", "/no/such/thing", outside, os.path.join(root, "link"),
                     os.path.join(root, "..", "outside"), os.path.join(root, "nothing", "..", "..", "outside"), root + "-beside",
                     os.path.join(root, "..")):
            self.assertProblem(self.register([root, path]), 403, "permission", "/paths/1")
        for path in ("relative", "", "./x", "../x", "~", "/" + "x" * 5000, 7, None, ["/x"]):
            self.assertProblem(self.register([root, path]), 422, "argument", "/paths/1")
        self.assertProblem(self.register([os.path.join(root, "nothing")]), 422, "argument", "/paths/0")
        for paths in ([], {}, "x", ["/x"] * 1001):
            self.assertProblem(self.register(paths), 422, "argument", "/paths")

    def test_a_resample_tells_its_progress_and_its_summary(self):
        got = self.pool.lead.post(RUNS, {"kind": "resample", "clusters": 5, "seed": 9})
        run = got.json
        self.assertEqual((got.status, run["kind"]), (202, "resample"))
        self.assertIn(run["state"], ("queued", "running", "done"))
        done = self.pool.wait_run("zoo", run["id"])
        self.assertEqual(done["summary"]["clusters"], 5)
        self.assertIn("words", done["summary"]["sanity"])
        self.assertEqual(done["summary"]["images"], self.pool.viewer.get("/v1/projects/zoo").json["images"])
        self.assertEqual(self.pool.viewer.get("/v1/projects/zoo").json["published_run"], run["id"])
        self.assertEqual(len(self.pool.viewer.get("/v1/projects/zoo/clusters").json["items"]), 5)
        runs = every_item(self.pool.viewer, RUNS)
        self.assertEqual([r["id"] for r in runs], sorted((r["id"] for r in runs), reverse=True))
        self.assertIn(run["id"], [r["id"] for r in runs])
        self.assertProblem(self.pool.lead.delete(f"{RUNS}/{run['id']}"), 409, "conflict")

    def test_a_batch_does_not_wait_for_a_run(self):
        run = self.pool.lead.post(RUNS, {"kind": "resample", "seed": 11}).json
        self.pool.release(self.pool.take(2))
        self.pool.wait_run("zoo", run["id"])

    def test_queued_runs_are_stopped(self):
        ids = [self.pool.lead.post(RUNS, {"kind": "resample", "seed": 100 + i}).json["id"] for i in range(6)]
        asked = {run: self.pool.lead.delete(f"{RUNS}/{run}").status for run in reversed(ids)}
        self.assertLessEqual(set(asked.values()), {202, 409})
        self.assertEqual(asked[ids[-1]], 202)
        end = time.monotonic() + PATIENCE_S
        for run in ids:
            got = self.pool.wait_run("zoo", run, ("done", "cancelled"))
            # One that had begun may end before it looks up; one that had ended said so.
            if asked[run] == 409:
                self.assertEqual(got["state"], "done")
            self.assertLess(time.monotonic(), end)
        self.assertEqual(self.pool.viewer.get(f"{RUNS}/{ids[-1]}").json["state"], "cancelled")

    def test_fields_that_make_no_sense_are_named(self):
        for body, pointer in (({}, "/kind"), ({"kind": "ingest"}, "/kind"), ({"kind": 1}, "/kind"),
                              ({"kind": "resample", "clusters": 0}, "/clusters"),
                              ({"kind": "resample", "clusters": 2.5}, "/clusters"),
                              ({"kind": "resample", "seed": -1}, "/seed"), ({"kind": "resample", "speed": 1}, "/speed")):
            self.assertProblem(self.pool.lead.post(RUNS, body), 422, "argument", pointer)

    def test_a_run_that_cannot_be_done_fails_with_a_reason(self):
        made = self.pool.admin.post("/v1/projects", {"name": "bare", "classes": [{"name": "a"}]})
        self.assertEqual(made.status, 201)
        got = self.pool.lead.post("/v1/projects/bare/runs", {"kind": "resample"})
        if got.status == 202:
            run = self.pool.wait_run("bare", got.json["id"], ("failed",))
            self.assertTrue(run["message"])
        else:
            self.assertProblem(got, 409, "conflict")
        self.assertEqual(self.pool.admin.delete("/v1/projects/bare").status, 204)


if __name__ == "__main__":
    main()
