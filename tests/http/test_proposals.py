"""Proposed labels over HTTP: what is proposed, audits, acceptance, undoing, and what contradicts them."""
from support import HttpTest, Pool, every_item, main, truth

ZOO = "/v1/projects/zoo"
EASY = "bound=0.5&confidence=0.5"


class Proposals(HttpTest):
    def setUp(self):
        """A pool a test: audits of a group count, and make the next one harder."""
        self.pool = Pool()
        self.addCleanup(self.pool.close)

    def give(self, labels, **more):
        got = self.pool.annotator.post(f"{ZOO}/labels", {"labels": labels, **more})
        self.assertEqual(got.status, 200)
        return got.json

    def back(self, audit, say=lambda item: truth(item["path"]), n=None):
        """Returns labels of an audit's batch, all or the first n."""
        path = f"{ZOO}/batches/{audit['batch']}"
        items = [item for item in self.pool.viewer.get(path).json["items"] if item["state"] == "leased"][:n]
        got = self.pool.annotator.post(f"{path}/labels", {"labels": [{"image": i["image"], "class": say(i)} for i in items]})
        self.assertEqual((got.status, got.json["taken"]), (200, len(items)))

    def read(self, audit):
        return self.pool.viewer.get(f"{ZOO}/audits/{audit['id']}").json

    def post(self, audit, what):
        return self.pool.lead.post(f"{ZOO}/audits/{audit['id']}/{what}")

    def lot(self, audit):
        """Images of the zoo with a label by the acceptance."""
        return [label for label in every_item(self.pool.viewer, f"{ZOO}/labels") if label["audit"] == audit["id"]]

    def test_proposals_say_what_speaks_for_them_and_what_an_audit_costs(self):
        got = self.pool.viewer.get(f"{ZOO}/proposals?{EASY}").json
        self.assertEqual((got["bound"], got["confidence"]), (0.5, 0.5))
        self.assertTrue(got["items"])
        saved = [item["p_pass"] * item["saves"] for item in got["items"]]
        self.assertEqual(saved, sorted(saved, reverse=True))
        for item in got["items"]:
            self.assertIn(item["kind"], ("cluster", "clusters"))
            self.assertEqual(item["saves"], item["images"] - item["sample"])
            self.assertAlmostEqual(item["price"], 0.1 * item["sample"])
            self.assertLessEqual(item["bound_after"], 1)
            self.assertTrue(0 < item["p"] <= 1 and item["agree"] <= item["labels"])
            self.assertIn(item["class"] or "each takes", item["words"])
        # At the usual bound a pool this small has nothing to propose, and says so.
        got = self.pool.viewer.get(f"{ZOO}/proposals").json
        self.assertEqual((got["bound"], got["confidence"], got["items"]), (0.05, 0.95, []))
        self.assertIn("cost about as many", got["words"])
        self.assertProblem(self.pool.viewer.get("/v1/projects/empty/proposals"), 409, "conflict")

    def test_from_a_proposal_to_labels_and_back(self):
        before = self.pool.viewer.get(f"{ZOO}/ledger").json["reserved"]
        audit = self.pool.audit(seed=5)
        self.assertEqual((audit["state"], audit["answered"], audit["labels"], audit["seed"]), ("auditing", 0, 0, 5))
        self.assertEqual((audit["requested_by"], audit["accepted"], audit["accepted_by"]), ("the lead", None, None))
        self.assertEqual(audit["evidence"]["images"], audit["images"])
        batch = self.pool.viewer.get(f"{ZOO}/batches/{audit['batch']}").json
        self.assertEqual((batch["state"], batch["size"], batch["holder"]), ("leased", audit["sample"], "the lead"))
        self.assertAlmostEqual(self.pool.viewer.get(f"{ZOO}/ledger").json["reserved"] - before, batch["price"])
        for item in batch["items"]:
            self.assertEqual((item["arm"], item["predicted"], item["quota_class"]), ("proposal", None, None))
            self.assertNotIn(audit["class"], item["reason"])  # nobody is led
            self.assertAlmostEqual(item["inclusion_probability"], audit["sample"] / audit["images"])
        self.assertProblem(self.post(audit, "accept"), 409, "conflict")
        self.assertProblem(self.post(audit, "undo"), 409, "conflict")

        self.back(audit, lambda item: audit["class"])
        passed = self.read(audit)
        self.assertEqual((passed["state"], passed["answered"], passed["disagree"], passed["batch_state"]),
                         ("passed", audit["sample"], 0, "returned"))
        self.assertLessEqual(passed["error_bound"], 0.5)
        self.assertEqual(self.lot(audit), [])
        got = self.post(audit, "accept")
        self.assertEqual(got.status, 200)
        accepted = got.json
        self.assertEqual((accepted["state"], accepted["labels"], accepted["standing"], accepted["accepted_by"]),
                         ("accepted", audit["images"] - audit["sample"], audit["images"] - audit["sample"], "the lead"))
        self.assertEqual(accepted["accepted_bound"], passed["error_bound"])
        labels = self.lot(audit)
        self.assertEqual(len(labels), accepted["labels"])
        self.assertTrue(all((label["source"], label["class"], label["annotator"]) == ("proposed", audit["class"], "")
                            for label in labels))
        image = self.pool.viewer.get(f"{ZOO}/images/{labels[0]['image']}").json
        self.assertEqual((image["label"], image["label_source"], image["history"][0]["audit"]),
                         (audit["class"], "proposed", audit["id"]))
        # The same images are not proposed again, and a second acceptance changes nothing.
        self.assertEqual(self.post(audit, "accept").json, accepted)
        self.assertFalse([item for item in self.pool.viewer.get(f"{ZOO}/proposals?{EASY}").json["items"]
                          if (item["cluster"], item["class"]) == (audit["cluster"], audit["class"])])

        undone = self.post(audit, "undo").json
        self.assertEqual((undone["state"], undone["standing"], undone["labels"]), ("undone", 0, accepted["labels"]))
        self.assertIsNotNone(undone["undone"])
        self.assertEqual(self.lot(audit), [])
        self.assertIsNone(self.pool.viewer.get(f"{ZOO}/images/{labels[0]['image']}").json["label"])
        self.assertEqual(self.post(audit, "undo").json, undone)
        self.assertProblem(self.post(audit, "accept"), 409, "conflict")

    def test_people_win_and_break_a_bound_that_they_refute(self):
        audit = self.pool.audit(seed=6)
        self.back(audit, lambda item: audit["class"])
        self.post(audit, "accept")
        labels = self.lot(audit)
        other = "tools" if audit["class"] != "tools" else "birds"
        # Said by a person, what was proposed is news, and no longer the acceptance's.
        got = self.give([{"image": labels[0]["image"], "class": audit["class"]}])
        self.assertEqual((got["taken"], got["unchanged"]), (1, 0))
        now = self.read(audit)
        self.assertEqual((now["state"], now["reviewed"], now["contradicted"], now["standing"]),
                         ("accepted", 1, 0, len(labels) - 1))
        broken = int(0.5 * len(labels)) + 1
        self.give([{"image": label["image"], "class": other} for label in labels[-broken:]])
        now = self.read(audit)
        self.assertEqual((now["state"], now["contradicted"]), ("broken", broken))
        self.assertAlmostEqual(now["error_bound"], broken / len(labels))
        self.assertIn("no longer holds", now["words"])
        self.assertEqual(next(a for a in every_item(self.pool.viewer, f"{ZOO}/audits") if a["id"] == audit["id"]), now)
        # A proposed label takes nobody's place.
        got = self.give([{"image": labels[-1]["image"], "class": audit["class"]}], source="proposed")
        self.assertEqual((got["taken"], got["rejected"][0]["type"]), (0, "/problems/conflict"))
        self.assertEqual(self.post(audit, "undo").json["standing"], 0)
        kept = {label["image"]: self.pool.viewer.get(f"{ZOO}/images/{label['image']}").json["label"] for label in labels}
        self.assertEqual([kept[label["image"]] for label in labels],
                         [audit["class"]] + [None] * (len(labels) - 1 - broken) + [other] * broken)
        self.give([{"image": label["image"], "class": None} for label in labels])

    def test_all_clusters_at_once_give_each_image_its_own_class(self):
        item = next(i for i in self.pool.viewer.get(f"{ZOO}/proposals?{EASY}").json["items"] if i["kind"] == "clusters")
        self.assertEqual((item["cluster"], item["class"], item["least_p"]), (None, None, None))
        got = self.pool.lead.post(f"{ZOO}/audits", {"kind": "clusters", "bound": 0.5, "confidence": 0.5, "seed": 3})
        self.assertEqual(got.status, 201)
        audit = got.json
        self.assertEqual((audit["images"], audit["sample"]), (item["images"], item["sample"]))
        self.assertEqual(sum(c["images"] for c in audit["classes"]), audit["images"])
        self.assertEqual(sum(c["sample"] for c in audit["classes"]), audit["sample"])
        self.back(audit)
        now = self.read(audit)
        if now["state"] == "passed":
            self.post(audit, "accept")
            given = {c["class"]: sum(label["class"] == c["class"] for label in self.lot(audit)) for c in audit["classes"]}
            self.assertEqual(given, {c["class"]: c["images"] - c["sample"] for c in audit["classes"]})
        self.assertIn(now["state"], ("passed", "failed"))

    def test_what_is_missing_counts_as_wrong_until_it_is_there(self):
        audit = self.pool.audit(seed=7, size=4)
        self.back(audit, lambda item: audit["class"], n=1)
        self.assertEqual(self.read(audit)["state"], "auditing")
        self.pool.lead.delete(f"{ZOO}/batches/{audit['batch']}")
        now = self.read(audit)
        self.assertEqual((now["state"], now["answered"], now["disagree"], now["batch_state"]), ("auditing", 1, 0, "released"))
        self.assertIn("count as wrong", now["words"])
        self.assertGreater(now["error_bound"], 0.5)
        self.assertProblem(self.post(audit, "accept"), 409, "conflict")
        items = self.pool.viewer.get(f"{ZOO}/batches/{audit['batch']}").json["items"]
        self.give([{"image": item["image"], "class": audit["class"]} for item in items if item["state"] == "released"])
        self.assertEqual(self.read(audit)["state"], "passed")

    def test_an_audit_that_fails_makes_the_next_one_harder(self):
        audit = self.pool.audit(seed=8)
        other = "tools" if audit["class"] != "tools" else "birds"
        self.back(audit, lambda item: other)
        now = self.read(audit)
        self.assertEqual((now["state"], now["disagree"]), ("failed", audit["sample"]))
        self.assertProblem(self.post(audit, "accept"), 409, "conflict")
        self.give([{"image": item["image"], "class": None}
                   for item in self.pool.viewer.get(f"{ZOO}/batches/{audit['batch']}").json["items"]])
        again = self.pool.lead.post(f"{ZOO}/audits", {"kind": "cluster", "cluster": audit["cluster"], "class": audit["class"],
                                                      "bound": 0.5, "confidence": 0.5, "seed": 9})
        if again.status == 201:  # it may be that nothing short of the whole group would do
            self.assertEqual(again.json["attempt"], audit["attempt"] + 1)
            self.assertGreater(again.json["confidence_used"], audit["confidence_used"])
        else:
            self.assertProblem(again, 409, "conflict")

    def test_the_same_key_and_body_give_the_same_audit(self):
        first = next(item for item in self.pool.viewer.get(f"{ZOO}/proposals?{EASY}").json["items"] if item["kind"] == "cluster")
        body = {"kind": "cluster", "cluster": first["cluster"], "class": first["class"], "bound": 0.5, "confidence": 0.5}
        ask = lambda key, **more: self.pool.lead.post(f"{ZOO}/audits", {**body, **more}, headers={"Idempotency-Key": key})
        one, two = ask("a1"), ask("a1")
        self.assertEqual((one.status, two.status), (201, 200))
        self.assertEqual(one.json, two.json)
        self.assertEqual(one.headers["Location"], f"{ZOO}/audits/{one.json['id']}")
        self.assertProblem(ask("a1", seed=3), 422, "argument")
        self.assertProblem(ask(""), 400, "format")

    def test_requests_that_make_no_sense_are_named(self):
        cluster = self.pool.viewer.get(f"{ZOO}/clusters").json["items"][0]["id"]
        fine = {"kind": "cluster", "cluster": cluster, "class": "birds"}
        for body, pointer in (({}, "/kind"), ({"kind": "whim"}, "/kind"), ({"kind": 1}, "/kind"),
                              ({"kind": "cluster"}, "/cluster"), ({"kind": "cluster", "cluster": cluster}, "/class"),
                              ({**fine, "class": "nothing"}, "/class"), ({**fine, "cluster": 987654321}, "/cluster"),
                              ({**fine, "cluster": 0}, "/cluster"), ({"kind": "duplicates", "cluster": 1}, "/cluster"),
                              ({"kind": "duplicates", "class": "birds"}, "/class"), ({"kind": "clusters", "cluster": 1}, "/cluster"), ({**fine, "bound": 0}, "/bound"),
                              ({**fine, "bound": 0.6}, "/bound"), ({**fine, "confidence": 1}, "/confidence"),
                              ({**fine, "confidence": "high"}, "/confidence"), ({**fine, "size": 0}, "/size"),
                              ({**fine, "seed": -1}, "/seed"), ({**fine, "lease_hours": 721}, "/lease_hours"),
                              ({**fine, "holder": 7}, "/holder"), ({**fine, "sise": 1}, "/sise")):
            self.assertProblem(self.pool.lead.post(f"{ZOO}/audits", body), 422, "argument", pointer)
        self.assertProblem(self.pool.lead.post(f"{ZOO}/audits", {"kind": "duplicates"}), 409, "conflict")
        self.assertProblem(self.pool.lead.post(f"{ZOO}/audits", fine), 409, "conflict")  # too small at the usual bound
        first = max((item for item in self.pool.viewer.get(f"{ZOO}/proposals?{EASY}").json["items"] if item["kind"] == "cluster"),
                    key=lambda item: item["images"])
        asked = {"kind": "cluster", "cluster": first["cluster"], "class": first["class"], "bound": 0.5, "confidence": 0.5}
        got = self.assertProblem(self.pool.lead.post(f"{ZOO}/audits", {**asked, "size": 1}), 422, "argument")
        self.assertIn("cannot show", got["detail"])
        self.assertProblem(self.pool.lead.post(f"{ZOO}/audits", {**asked, "size": 1000}), 422, "argument")
        for query in ("bound=0", "bound=1", "bound=x", "bound=", "bound=nan", "confidence=1", "confidence=0.4", "confidence=1e-1"):
            got = self.pool.viewer.get(f"{ZOO}/proposals?{query}")
            self.assertProblem(got, 400, "argument", parameter=query.partition("=")[0])
        self.assertEqual(every_item(self.pool.viewer, f"{ZOO}/images?leased=true"), [])


if __name__ == "__main__":
    main()
