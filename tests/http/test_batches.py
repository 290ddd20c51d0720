"""Batches: taking, returning in parts, renewing, giving back, expiry, idempotency; and the ledger that they write."""
import time

from support import PATIENCE_S, HttpTest, every_item, main, together, truth

BATCHES = "/v1/projects/zoo/batches"


class Batches(HttpTest):
    def tearDown(self):
        """No test leaves a lease behind, whatever became of it."""
        for batch in every_item(self.pool.viewer, BATCHES):
            if batch["state"] == "leased":
                self.pool.lead.delete(f"{BATCHES}/{batch['id']}")

    def ledger(self):
        return self.pool.viewer.get("/v1/projects/zoo/ledger").json

    def labels(self, items):
        return {"labels": [{"image": item["image"], "class": truth(item["path"]), "seconds": 3} for item in items]}

    def retract(self, items):
        body = {"labels": [{"image": item["image"], "class": None} for item in items]}
        self.assertEqual(self.pool.annotator.post("/v1/projects/zoo/labels", body).status, 200)

    def test_a_batch_tells_why_it_holds_what_it_holds(self):
        before = self.ledger()
        got = self.pool.lead.post(BATCHES, {"size": 6, "seed": 5})
        batch = got.json
        self.assertEqual((got.status, got.headers["Location"]), (201, f"{BATCHES}/{batch['id']}"))
        self.assertEqual((batch["state"], batch["size"], batch["leased"], batch["labelled"], batch["seed"]),
                         ("leased", 6, 6, 0, 5))
        self.assertEqual((batch["holder"], batch["request"]), ("the lead", {"size": 6, "seed": 5}))
        self.assertEqual([item["position"] for item in batch["items"]], sorted(item["position"] for item in batch["items"]))
        self.assertEqual(len({item["image"] for item in batch["items"]}), 6)
        for item in batch["items"]:
            self.assertTrue(item["reason"])
            self.assertIsNone(item["label"])
        self.assertTrue(batch["feasibility"]["words"])
        self.assertTrue(all(c["words"] for c in batch["feasibility"]["classes"]))
        self.assertAlmostEqual(batch["price"], sum(item["price"] for item in batch["items"]))
        after = self.ledger()
        self.assertAlmostEqual(after["reserved"] - before["reserved"], batch["price"])
        self.assertAlmostEqual(after["reserved_minutes"] - before["reserved_minutes"], batch["minutes"])
        leased = every_item(self.pool.viewer, "/v1/projects/zoo/images?leased=true")
        self.assertEqual({image["id"] for image in leased}, {item["image"] for item in batch["items"]})
        self.assertTrue(all(image["batch"] == batch["id"] for image in leased))
        self.assertEqual(self.pool.viewer.get(f"{BATCHES}/{batch['id']}").json, batch)
        newest = self.pool.viewer.get(f"{BATCHES}?limit=1").json["items"][0]
        self.assertEqual(newest, {name: value for name, value in batch.items() if name != "items"})
        self.pool.release(batch)
        self.assertAlmostEqual(self.ledger()["reserved"], before["reserved"])

    def test_labels_come_back_in_parts(self):
        before = self.ledger()
        batch = self.pool.take(5)
        path = f"{BATCHES}/{batch['id']}"
        got = self.pool.annotator.post(f"{path}/labels", self.labels(batch["items"][:2])).json
        self.assertEqual((got["taken"], got["rejected"], got["batch"]["state"], got["batch"]["leased"],
                          got["batch"]["labelled"]), (2, [], "leased", 3, 2))
        now = self.pool.viewer.get(path).json
        self.assertEqual([item["state"] for item in now["items"]], ["labelled"] * 2 + ["leased"] * 3)
        self.assertEqual(now["items"][0]["label"], truth(now["items"][0]["path"]))
        # Of a second part, what is not leased to the batch is rejected and the rest is taken.
        other = next(image for image in every_item(self.pool.viewer, "/v1/projects/zoo/images?leased=false&labelled=false"))
        body = self.labels(batch["items"][1:4] + [{"image": other["id"], "path": other["path"]}])
        got = self.pool.annotator.post(f"{path}/labels", body).json
        self.assertEqual((got["taken"], [item["index"] for item in got["rejected"]]), (2, [0, 3]))
        got = self.pool.annotator.post(f"{path}/labels", self.labels(batch["items"][4:])).json
        self.assertEqual((got["batch"]["state"], got["batch"]["leased"], got["batch"]["labelled"]), ("returned", 0, 5))
        self.assertIsNotNone(got["batch"]["closed"])
        after = self.ledger()
        self.assertAlmostEqual(after["reserved"], before["reserved"])
        self.assertAlmostEqual(after["charged"] - before["charged"], 0.5)
        self.assertAlmostEqual(after["charged_minutes"] - before["charged_minutes"], 5 * 3 / 60)
        for method, more, body in (("POST", "/labels", {"labels": []}), ("POST", "/renew", {}), ("DELETE", "", None)):
            self.assertProblem(self.pool.lead.request(method, path + more, body), 409, "conflict")
        self.retract(batch["items"])

    def test_what_is_given_back_is_free_again_and_what_is_labelled_stays(self):
        batch = self.pool.take(3)
        path = f"{BATCHES}/{batch['id']}"
        self.pool.annotator.post(f"{path}/labels", self.labels(batch["items"][:1]))
        self.pool.release(batch)
        now = self.pool.viewer.get(path).json
        self.assertEqual((now["state"], [item["state"] for item in now["items"]]),
                         ("released", ["labelled", "released", "released"]))
        self.assertEqual(every_item(self.pool.viewer, "/v1/projects/zoo/images?leased=true"), [])
        self.assertIsNotNone(self.pool.viewer.get(f"/v1/projects/zoo/images/{batch['items'][0]['image']}").json["label"])
        self.retract(batch["items"][:1])

    def test_a_lease_is_renewed(self):
        batch = self.pool.take(1, lease_hours=1)
        path = f"{BATCHES}/{batch['id']}/renew"
        later = self.pool.annotator.post(path, {"hours": 48}).json
        self.assertGreater(later["expires"], batch["expires"])
        for body in (None, {}, {"hours": None}):
            self.assertEqual(self.pool.annotator.post(path, body).status, 200)
        for hours in (0, -1, 721, "1", 1e300):
            self.assertProblem(self.pool.annotator.post(path, {"hours": hours}), 422, "argument", "/hours")
        self.pool.release(batch)

    def test_an_expired_lease_returns_its_images_and_its_money(self):
        before = self.ledger()
        batch = self.pool.take(2, lease_hours=0.001)
        path = f"{BATCHES}/{batch['id']}"
        end = time.monotonic() + PATIENCE_S
        while self.pool.viewer.get(path).json["state"] == "leased" and time.monotonic() < end:
            time.sleep(0.2)
        now = self.pool.viewer.get(path).json
        self.assertEqual((now["state"], [item["state"] for item in now["items"]]), ("expired", ["expired"] * 2))
        self.assertProblem(self.pool.annotator.post(f"{path}/labels", self.labels(batch["items"])), 409, "conflict")
        self.assertProblem(self.pool.annotator.post(f"{path}/renew", {}), 409, "conflict")
        self.assertAlmostEqual(self.ledger()["reserved"], before["reserved"])
        self.assertEqual(every_item(self.pool.viewer, "/v1/projects/zoo/images?leased=true"), [])

    def test_the_same_key_and_body_give_the_same_batch(self):
        def ask(key, **body):
            return self.pool.lead.post(BATCHES, body, headers={"Idempotency-Key": key})

        first, again = ask("k1", size=2, seed=1), ask("k1", size=2, seed=1)
        self.assertEqual((first.status, again.status), (201, 200))
        self.assertEqual(first.json, again.json)
        self.assertProblem(ask("k1", size=3, seed=1), 422, "argument")
        other = ask("k2", size=2, seed=1)
        self.assertEqual(other.status, 201)
        self.assertNotEqual(other.json["id"], first.json["id"])
        for key in ("", "x" * 201):
            self.assertProblem(ask(key, size=1), 400, "format")
        answers = together(6, lambda _: ask("k3", size=1))
        self.assertEqual(len({got.json["id"] for got in answers}), 1)
        for got in (first, other, answers[0]):
            self.pool.release(got.json)

    def test_the_same_seed_gives_the_same_batch_again(self):
        first = self.pool.take(5, seed=77)
        self.pool.release(first)
        second = self.pool.take(5, seed=77)
        self.pool.release(second)
        self.assertEqual([item["image"] for item in first["items"]], [item["image"] for item in second["items"]])
        self.assertEqual(first["manifest_sha256"], second["manifest_sha256"])

    def test_money_and_minutes_limit_a_batch(self):
        for body, price, minutes in (({"max_price": 0.35}, 0.35, None), ({"max_minutes": 0.25}, None, 0.25),
                                     ({"size": 50, "max_price": 0.2, "max_minutes": 100}, 0.2, 100)):
            batch = self.pool.lead.post(BATCHES, body).json
            self.assertGreater(batch["size"], 0)
            self.assertLessEqual(batch["price"], (price or 1e9) + 1e-9)
            self.assertLessEqual(batch["minutes"], (minutes or 1e9) + 1e-9)
            self.pool.release(batch)

    def test_a_cluster_limits_a_batch(self):
        clusters = self.pool.viewer.get("/v1/projects/zoo/clusters").json["items"]
        cluster = max(clusters, key=lambda c: c["size"] - c["labelled"])["id"]
        batch = self.pool.take(2, cluster=cluster)
        self.assertEqual({item["cluster"] for item in batch["items"]}, {cluster})
        self.pool.release(batch)

    def test_fields_that_make_no_sense_are_named(self):
        for body, pointer in (({"size": 0}, "/size"), ({"size": -1}, "/size"), ({"size": 1.5}, "/size"),
                              ({"size": "4"}, "/size"), ({"size": 1e18}, "/size"), ({"size": True}, "/size"),
                              ({"max_price": -1}, "/max_price"), ({"max_price": 0}, "/max_price"),
                              ({"max_price": "1"}, "/max_price"), ({"max_minutes": 0}, "/max_minutes"),
                              ({"max_minutes": []}, "/max_minutes"),
                              ({"size": 1, "targets": []}, "/targets"), ({"size": 1, "targets": {"birds": 2}}, "/targets/birds"),
                              ({"size": 1, "targets": {"birds": "1"}}, "/targets/birds"),
                              ({"size": 1, "targets": {"a/b": 0.1}}, "/targets/a~1b"),
                              ({"size": 1, "targets": {"birds": 0.9, "fruit": 0.9}}, "/targets"),
                              ({"size": 1, "cluster": 987654321}, "/cluster"), ({"size": 1, "cluster": 0}, "/cluster"),
                              ({"size": 1, "explore_share": 1.1}, "/explore_share"),
                              ({"size": 1, "audit_share": -0.1}, "/audit_share"), ({"size": 1, "seed": -1}, "/seed"),
                              ({"size": 1, "seed": 1e17}, "/seed"), ({"size": 1, "lease_hours": 0}, "/lease_hours"),
                              ({"size": 1, "lease_hours": 721}, "/lease_hours"), ({"size": 1, "holder": 1}, "/holder"),
                              ({"size": 1, "holder": "x" * 201}, "/holder"), ({"size": 1, "sise": 1}, "/sise"),
                              ({"size": 1, "relabel": 1.1}, "/relabel"), ({"size": 1, "relabel": -0.1}, "/relabel"),
                              ({"size": 1, "relabel": "much"}, "/relabel"), ({"size": 1, "relabel": True}, "/relabel")):
            self.assertProblem(self.pool.lead.post(BATCHES, body), 422, "argument", pointer)
        for body in ({}, {"size": None}, {"seed": 4}):
            self.assertProblem(self.pool.lead.post(BATCHES, body), 422, "argument")
        self.assertEqual(every_item(self.pool.viewer, "/v1/projects/zoo/images?leased=true"), [])

    def test_second_looks_are_given_when_asked_for_only(self):
        suspects = {item["image"]: item["given"] for item in every_item(self.pool.viewer, "/v1/projects/zoo/label-checks")}
        for more in ({}, {"relabel": None}, {"relabel": "off"}, {"relabel": 0}):
            batch = self.pool.take(4, **more)
            self.assertNotIn("check", {item["arm"] for item in batch["items"]}, more)
            self.pool.release(batch)
        for share, most in (("auto", 2), (0.5, 2), (1, 4)):
            batch = self.pool.take(4, relabel=share)
            looks = [item for item in batch["items"] if item["arm"] == "check"]
            self.assertEqual(batch["request"]["relabel"], share)
            self.assertEqual(batch["feasibility"]["relabel"]["images"], len(looks))
            self.assertLessEqual(len(looks), min(most, len(suspects)))
            for item in looks:
                self.assertEqual((item["checked"], item["label"]), (suspects[item["image"]],) * 2)
                self.assertTrue(0 < item["p_wrong"] <= 1)
            self.pool.release(batch)
        self.assertEqual(every_item(self.pool.viewer, "/v1/projects/zoo/images?leased=true"), [])

    def test_nothing_resampled_or_nothing_left_is_a_conflict(self):
        self.assertProblem(self.pool.lead.post("/v1/projects/empty/batches", {"size": 1}), 409, "conflict")
        everything = self.pool.take(1000)
        self.assertProblem(self.pool.lead.post(BATCHES, {"size": 1}), 409, "conflict")
        self.pool.release(everything)

    def test_takers_at_once_never_share_an_image(self):
        batches = together(8, lambda i: self.pool.take(4, seed=i + 1))
        images = [item["image"] for batch in batches for item in batch["items"]]
        self.assertEqual(len(images), len(set(images)))
        together(8, lambda i: self.pool.release(batches[i]))
        self.assertEqual(every_item(self.pool.viewer, "/v1/projects/zoo/images?leased=true"), [])

    def test_the_ledger_adds_up(self):
        batches = [self.pool.take(2) for _ in range(2)]
        for batch in batches:
            self.pool.release(batch)
        entries = every_item(self.pool.viewer, "/v1/projects/zoo/ledger")
        self.assertEqual([e["id"] for e in entries], sorted((e["id"] for e in entries), reverse=True))
        total = {kind: sum(e["amount"] for e in entries if e["kind"] == kind) for kind in ("reserve", "charge", "refund")}
        got = self.ledger()
        self.assertAlmostEqual(got["reserved"], total["reserve"] - total["refund"])
        self.assertAlmostEqual(got["charged"], total["charge"])


if __name__ == "__main__":
    main()
