"""Projects, their classes, their balance."""
from support import CLASSES, HttpTest, every_item, main


class Projects(HttpTest):
    def test_the_list_goes_page_by_page(self):
        made = [f"page-{i}" for i in range(9)]
        for name in made:
            self.assertEqual(self.pool.admin.post("/v1/projects", {"name": name, "classes": []}).status, 201)
        names = [project["name"] for project in every_item(self.pool.viewer, "/v1/projects")]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual({"zoo", "empty", *made}, set(names))
        first = self.pool.viewer.get("/v1/projects?limit=2").json
        self.assertEqual(len(first["items"]), 2)
        self.assertIsNone(self.pool.viewer.get("/v1/projects?limit=1000").json["next"])
        for name in made:
            self.assertEqual(self.pool.admin.delete(f"/v1/projects/{name}").status, 204)

    def test_a_project_tells_what_it_holds(self):
        got = self.pool.viewer.get("/v1/projects/zoo").json
        self.assertEqual((got["name"], got["backbone"], got["currency"]), ("zoo", "efficientnet-lite0", "EUR"))
        self.assertEqual(got["images"], sum(n for _, _, n in CLASSES))
        self.assertEqual((got["labels"], got["refused"]), (16, 2))
        self.assertEqual([(c["name"], c["price"], c["seconds"], c["labels"], c["target_share"]) for c in got["classes"]],
                         [(name, 0.1, 6, 4, None) for _, name, _ in CLASSES])
        self.assertIsInstance(got["published_run"], int)
        self.assertEqual(got["published_backbone"], "efficientnet-lite0")
        backbone = dict(got["backbones"][0])
        self.assertIn(backbone.pop("precision"), ("f32", "bf16"))
        self.assertEqual((len(got["backbones"]), backbone),
                         (1, {"name": "efficientnet-lite0", "active": True, "vectors": got["images"], "behind": 0, "gaps": 0}))

    def test_the_active_backbone_is_one_of_the_projects(self):
        fine = self.pool.lead.patch("/v1/projects/zoo", {"backbone": "efficientnet-lite0"})
        self.assertEqual((fine.status, fine.json["backbone"]), (200, "efficientnet-lite0"))
        got = self.pool.lead.patch("/v1/projects/zoo", {"backbone": "resnet-9000"})
        self.assertProblem(got, 422, "argument")
        self.assertIn("resnet-9000", got.json["detail"])

    def test_a_project_is_made_changed_and_deleted(self):
        got = self.pool.admin.post("/v1/projects", {"name": "made.1", "currency": "CHF", "backbone": "efficientnet-lite0", "classes": [
            {"name": "Tür/Fenster 100%", "target_share": 0.5, "price": 0.25, "seconds": 4}, {"name": "rest"}]})
        self.assertEqual((got.status, got.headers["Location"]), (201, "/v1/projects/made.1"))
        self.assertEqual(self.pool.viewer.get("/v1/projects/made.1").json, got.json)
        self.assertEqual(got.json["currency"], "CHF")
        # A class that is there keeps what is not named.
        got = self.pool.lead.patch("/v1/projects/made.1", {"classes": [{"name": "Tür/Fenster 100%", "price": 0.5},
                                                                       {"name": "new", "target_share": 0.25}]})
        self.assertEqual([(c["name"], c["target_share"], c["price"], c["seconds"]) for c in got.json["classes"]],
                         [("Tür/Fenster 100%", 0.5, 0.5, 4), ("rest", None, 0, 0), ("new", 0.25, 0, 0)])
        got = self.pool.lead.patch("/v1/projects/made.1", {"classes": [{"name": "Tür/Fenster 100%", "target_share": None}]})
        self.assertIsNone(got.json["classes"][0]["target_share"])
        got = self.pool.lead.patch("/v1/projects/made.1", {"name": "made.2"})
        self.assertEqual(got.json["name"], "made.2")
        self.assertProblem(self.pool.viewer.get("/v1/projects/made.1"), 404, "not-found")
        self.assertEqual(self.pool.lead.patch("/v1/projects/made.2", {}).json, got.json)
        self.assertEqual(self.pool.admin.delete("/v1/projects/made.2").status, 204)
        self.assertProblem(self.pool.admin.delete("/v1/projects/made.2"), 404, "not-found")

    def test_values_that_make_no_sense_are_named(self):
        fine = {"name": "x", "classes": []}
        for change, pointer in (({"name": "-x"}, "/name"), ({"name": ""}, "/name"), ({"name": "x" * 101}, "/name"),
                                ({"name": "a/b"}, "/name"), ({"name": None}, "/name"), ({"name": 1}, "/name"),
                                ({"classes": {}}, "/classes"), ({"classes": ["a"]}, "/classes/0"),
                                ({"classes": [{}]}, "/classes/0/name"),
                                ({"classes": [{"name": "a"}, {"name": "a"}]}, "/classes/1/name"),
                                ({"classes": [{"name": "a\nb"}]}, "/classes/0/name"),
                                ({"classes": [{"name": "a", "price": -1}]}, "/classes/0/price"),
                                ({"classes": [{"name": "a", "price": "1"}]}, "/classes/0/price"),
                                ({"classes": [{"name": "a", "seconds": 1e300}]}, "/classes/0/seconds"),
                                ({"classes": [{"name": "a", "target_share": 1.5}]}, "/classes/0/target_share"),
                                ({"classes": [{"name": "a", "a/b~c": 1}]}, "/classes/0/a~1b~0c"),
                                ({"classes": [{"name": n, "target_share": 0.6} for n in "ab"]}, "/classes"),
                                ({"classes": [{"name": str(n)} for n in range(1001)]}, "/classes"),
                                ({"currency": "euro"}, "/currency"), ({"currency": "eur"}, "/currency"),
                                ({"backbone": "no-such"}, "/backbone"), ({"backbone": "../x"}, "/backbone"),
                                ({"backbone": ""}, "/backbone"), ({"colour": "red"}, "/colour")):
            self.assertProblem(self.pool.admin.post("/v1/projects", {**fine, **change}), 422, "argument", pointer)
        self.assertProblem(self.pool.admin.post("/v1/projects", {"name": "x"}), 422, "argument", "/classes")
        self.assertProblem(self.pool.viewer.get("/v1/projects/x"), 404, "not-found")

    def test_a_name_is_taken_once(self):
        self.assertProblem(self.pool.admin.post("/v1/projects", {"name": "zoo", "classes": []}), 409, "conflict", "/name")
        before = self.pool.viewer.get("/v1/projects/empty").json
        got = self.pool.lead.patch("/v1/projects/empty", {"name": "zoo", "classes": [{"name": "never"}]})
        self.assertProblem(got, 409, "conflict", "/name")
        self.assertEqual(self.pool.viewer.get("/v1/projects/empty").json, before)
        self.assertEqual(self.pool.lead.patch("/v1/projects/empty", {"name": "empty"}).status, 200)

    def test_a_class_without_labels_is_taken_out(self):
        url, names = "/v1/projects/zoo", [name for _, name, _ in CLASSES]
        def classes(got):
            self.assertEqual(got.status, 200, got)
            return [c["name"] for c in got.json["classes"]]
        self.assertEqual(classes(self.pool.lead.patch(url, {"classes": [{"name": "typo"}, {"name": "other"}]})), names + ["typo", "other"])
        for wrong, pointer in (([names[0], "absent"], "/remove_classes/1"), (["typo", "typo"], "/remove_classes/1"), ([1], "/remove_classes/0"),
                               ("typo", "/remove_classes")):
            self.assertProblem(self.pool.lead.patch(url, {"remove_classes": wrong}), 422, "argument", pointer)
        self.assertProblem(self.pool.lead.patch(url, {"remove_classes": ["typo"], "classes": [{"name": "typo"}]}), 422, "argument")
        got = self.pool.lead.patch(url, {"remove_classes": ["typo", names[1]]})
        self.assertProblem(got, 409, "conflict")
        self.assertIn(names[1], got.json["detail"])
        self.assertEqual(classes(self.pool.lead.patch(url, {"remove_classes": []})), names + ["typo", "other"])
        self.assertProblem(self.pool.annotator.patch(url, {"remove_classes": ["typo"]}), 403, "permission")
        self.assertEqual(classes(self.pool.lead.patch(url, {"remove_classes": ["typo", "other"]})), names)
        self.assertEqual(self.pool.lead.post(url + "/batches", {"size": 1}).status, 201)

    def test_balance_counts_what_is_there(self):
        got = self.pool.viewer.get("/v1/projects/zoo/balance").json
        self.assertEqual((got["labels"], got["images"]), (16, 60))
        self.assertAlmostEqual(got["entropy"], 1.0)
        self.assertEqual([c["class"] for c in got["classes"]], [name for _, name, _ in CLASSES])
        for c in got["classes"]:
            self.assertAlmostEqual(c["share"], 0.25)
            self.assertAlmostEqual(c["target_share"], 0.25)
        self.assertEqual(sum(c["predicted"] for c in got["classes"]), 60 - 16)
        empty = self.pool.viewer.get("/v1/projects/empty/balance").json
        self.assertEqual((empty["labels"], empty["images"]), (0, 0))


if __name__ == "__main__":
    main()
