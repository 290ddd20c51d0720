"""Labels: giving, changing, retracting, importing; what is rejected one by one and what makes the whole request wrong."""
from support import HttpTest, every_item, main, truth

ZOO = "/v1/projects/zoo"


class Labels(HttpTest):
    def unlabelled(self, n):
        return self.pool.viewer.get(f"{ZOO}/images?labelled=false&limit={n}").json["items"]

    def give(self, labels, **more):
        got = self.pool.annotator.post(f"{ZOO}/labels", {"labels": labels, **more})
        self.assertEqual(got.status, 200, got)
        return got.json

    def test_a_label_is_taken_changed_and_retracted(self):
        image = self.unlabelled(1)[0]["id"]
        path = f"{ZOO}/images/{image}"
        self.assertEqual(self.give([{"image": image, "class": "fruit", "annotator": "ann", "seconds": 2.5}]),
                         {"taken": 1, "unchanged": 0, "rejected": []})
        self.assertEqual(self.give([{"image": image, "class": "fruit"}])["unchanged"], 1)
        self.assertEqual(self.give([{"image": image, "class": "tools"}])["taken"], 1)
        got = self.pool.viewer.get(path).json
        self.assertEqual(got["label"], "tools")
        self.assertEqual([(label["class"], label["annotator"], label["seconds"], label["source"], label["ended"] is None)
                          for label in got["history"]],
                         [("tools", "the annotator", None, "human", True), ("fruit", "ann", 2.5, "human", False)])
        self.assertEqual(self.give([{"image": image, "class": None}])["taken"], 1)
        got = self.pool.viewer.get(path).json
        self.assertIsNone(got["label"])
        self.assertEqual(len([label for label in got["history"] if label["ended"] is None]), 0)

    def test_bad_items_are_rejected_by_index_and_the_rest_is_taken(self):
        images = self.unlabelled(2)
        got = self.give([{"image": 987654321, "class": "birds"}, {"image": images[0]["id"], "class": "birds"},
                         {"image": images[1]["id"], "class": "no such class"}, {"path": "/no/such/file", "class": "birds"},
                         {"path": images[1]["path"], "class": truth(images[1]["path"])}])
        self.assertEqual((got["taken"], [item["index"] for item in got["rejected"]]), (2, [0, 2, 3]))
        for item in got["rejected"]:
            self.assertTrue(item["type"].startswith("/problems/") and item["detail"])
        self.give([{"image": image["id"], "class": None} for image in images])

    def test_an_image_of_another_project_is_rejected(self):
        image = self.unlabelled(1)[0]["id"]
        got = self.pool.annotator.post("/v1/projects/empty/labels", {"labels": [{"image": image, "class": "a"}]}).json
        self.assertEqual((got["taken"], len(got["rejected"])), (0, 1))

    def test_the_list_holds_current_labels_once(self):
        labels = every_item(self.pool.viewer, f"{ZOO}/labels")
        self.assertEqual(len(labels), self.pool.viewer.get(ZOO).json["labels"])
        self.assertEqual(len({label["image"] for label in labels}), len(labels))
        self.assertTrue(all(label["ended"] is None for label in labels))

    def test_the_source_is_kept(self):
        image = self.unlabelled(1)[0]["id"]
        for source in ("imported", "proposed", "simulated", "human"):
            self.give([{"image": image, "class": None}])
            self.give([{"image": image, "class": "birds"}], source=source)
            label = self.pool.viewer.get(f"{ZOO}/images/{image}").json["history"][0]
            self.assertEqual(label["source"], source)
            # Only a person's label is signed with the name of the credentials.
            self.assertEqual(label["annotator"], "the annotator" if source == "human" else "")
        self.give([{"image": image, "class": None}])

    def test_wrong_fields_are_named(self):
        image = self.unlabelled(1)[0]["id"]
        fine = {"image": image, "class": "birds"}
        for item, pointer in (({**fine, "image": "1"}, "/labels/1/image"), ({**fine, "image": 1.5}, "/labels/1/image"),
                              ({**fine, "image": 0}, "/labels/1/image"), ({**fine, "image": None}, "/labels/1/image"),
                              ({**fine, "image": 1e300}, "/labels/1/image"), ({**fine, "class": 7}, "/labels/1/class"),
                              ({**fine, "class": ""}, "/labels/1/class"), ({**fine, "class": "x" * 201}, "/labels/1/class"),
                              ({"image": image}, "/labels/1/class"), ({**fine, "annotator": 7}, "/labels/1/annotator"),
                              ({**fine, "annotator": "x" * 201}, "/labels/1/annotator"),
                              ({**fine, "seconds": -1}, "/labels/1/seconds"), ({**fine, "seconds": "1"}, "/labels/1/seconds"),
                              ({**fine, "path": "/x"}, "/labels/1"), ({"class": "birds"}, "/labels/1"),
                              ({**fine, "klass": "birds"}, "/labels/1/klass"), ("birds", "/labels/1"), (None, "/labels/1")):
            got = self.pool.annotator.post(f"{ZOO}/labels", {"labels": [fine, item]})
            self.assertProblem(got, 422, "argument", pointer)
        for body, pointer in (({}, "/labels"), ({"labels": {}}, "/labels"), ({"labels": None}, "/labels"),
                              ({"labels": [], "source": "guess"}, "/source"), ({"labels": [], "source": None}, "/source"),
                              ({"labels": [], "extra": 1}, "/extra")):
            self.assertProblem(self.pool.annotator.post(f"{ZOO}/labels", body), 422, "argument", pointer)
        # Nothing of a request that makes no sense was taken.
        self.assertIsNone(self.pool.viewer.get(f"{ZOO}/images/{image}").json["label"])
        self.assertEqual(self.give([]), {"taken": 0, "unchanged": 0, "rejected": []})


if __name__ == "__main__":
    main()
