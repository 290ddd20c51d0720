"""Looking at images: lists and filters, one image, its bytes, what is like it, what was refused."""
import hashlib
import os
import urllib.parse

from support import HttpTest, every_item, main, truth

ZOO = "/v1/projects/zoo"


class Images(HttpTest):
    def images(self, query=""):
        return every_item(self.pool.viewer, f"{ZOO}/images?{query}" if query else f"{ZOO}/images")

    def test_pages_hold_every_image_once(self):
        ids = [image["id"] for image in self.images()]
        self.assertEqual(len(ids), 60)
        self.assertEqual(ids, sorted(set(ids)))

    def test_filters_keep_what_they_name(self):
        everything = self.images()
        cluster = everything[0]["cluster"]
        predicted = next(image["predicted"]["class"] for image in everything if image["predicted"])
        for query, keeps in ((f"cluster={cluster}", lambda image: image["cluster"] == cluster),
                             ("labelled=true", lambda image: image["label"] is not None),
                             ("labelled=false", lambda image: image["label"] is None),
                             ("class=birds", lambda image: image["label"] == "birds"),
                             (f"predicted={predicted}", lambda image: image["predicted"] and image["predicted"]["class"] == predicted),
                             ("leased=true", lambda image: image["batch"] is not None),
                             ("leased=false", lambda image: image["batch"] is None),
                             ("path=flowers%2F", lambda image: "flowers/" in image["path"]),
                             ("labelled=true&path=birds%2F&leased=false", lambda image: image["label"] == "birds")):
            self.assertEqual([image["id"] for image in self.images(query)],
                             [image["id"] for image in everything if keeps(image)], query)
        # Characters with a meaning to SQL have none here.
        for nothing in ("%25", "_irds%2F", "'", "%2A", "birds%5C%2F"):
            self.assertEqual(self.images(f"path={nothing}"), [], nothing)

    def test_parameters_that_make_no_sense_are_named(self):
        for query, name in (("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
                            ("limit=1e2", "limit"), ("limit=-1", "limit"), ("after=x", "after"), ("after=-1", "after"),
                            ("after=99999999999999999999", "after"), ("cluster=0", "cluster"), ("cluster=birds", "cluster"),
                            ("labelled=1", "labelled"), ("labelled=", "labelled"), ("leased=yes", "leased"),
                            ("class=none", "class"), ("predicted=none", "predicted"), ("colour=red", "colour"),
                            ("limit=3&limit=4", "limit")):
            self.assertProblem(self.pool.viewer.get(f"{ZOO}/images?{query}"), 400, "argument", parameter=name)
        self.assertEqual(self.pool.viewer.get(f"{ZOO}/images?after=999999999").json, {"items": [], "next": None})

    def test_one_image_tells_its_names_and_its_history(self):
        twice = next(image for image in self.images() if image["names_count"] == 2)
        got = self.pool.viewer.get(f"{ZOO}/images/{twice['id']}").json
        self.assertEqual(len(got["names"]), 2)
        self.assertIn("a second name.png", {os.path.basename(name) for name in got["names"]})
        labelled = next(image for image in self.images("labelled=true"))
        history = self.pool.viewer.get(f"{ZOO}/images/{labelled['id']}").json["history"]
        self.assertEqual([(label["class"], label["ended"]) for label in history], [(labelled["label"], None)])

    def test_the_original_is_the_file(self):
        image = self.images()[5]
        got = self.pool.viewer.get(f"{ZOO}/images/{image['id']}/original")
        with open(image["path"], "rb") as file:
            self.assertEqual(got.body, file.read())
        self.assertEqual(hashlib.sha256(got.body).hexdigest(), image["sha256"])
        self.assertEqual(got.headers["Content-Type"], "image/png")
        self.assertEqual(got.headers["ETag"], f'"{image["sha256"]}"')
        self.assertTrue(got.headers["Cache-Control"].startswith("private"))
        self.assertEqual(len(got.body), image["bytes"])
        again = self.pool.viewer.get(f"{ZOO}/images/{image['id']}/original", headers={"If-None-Match": got.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))

    def test_the_thumbnail_is_a_jpeg_and_comes_back_when_it_was_lost(self):
        image = self.images()[3]
        path = f"{ZOO}/images/{image['id']}/thumbnail"
        got = self.pool.viewer.get(path)
        self.assertEqual((got.headers["Content-Type"], got.body[:3]), ("image/jpeg", b"\xff\xd8\xff"))
        self.assertTrue(got.headers["ETag"].startswith(f'"{image["sha256"]}'))
        for folder, _, files in os.walk(os.path.join(self.pool.data, "thumbs")):
            for file in files:
                os.unlink(os.path.join(folder, file))
        self.assertEqual(self.pool.viewer.get(path).body, got.body)
        self.assertEqual(self.pool.viewer.get(path, headers={"If-None-Match": got.headers["ETag"]}).status, 304)

    def test_similar_images_come_most_similar_first(self):
        image = self.images("class=birds")[0]
        items = self.pool.viewer.get(f"{ZOO}/images/{image['id']}/similar?k=10").json["items"]
        self.assertEqual(len(items), 10)
        values = [item["similarity"] for item in items]
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertNotIn(image["id"], [item["image"]["id"] for item in items])
        # Half of ten neighbours at least are of its kind: chance would give four.
        self.assertGreaterEqual(sum(truth(item["image"]["path"]) == "birds" for item in items), 5)
        self.assertEqual(len(self.pool.viewer.get(f"{ZOO}/images/{image['id']}/similar?k=1000").json["items"]), 59)
        for wrong in ("k=0", "k=1001", "k=x"):
            got = self.pool.viewer.get(f"{ZOO}/images/{image['id']}/similar?{wrong}")
            self.assertProblem(got, 400, "argument", parameter="k")

    def test_refusals_name_the_file_and_the_reason(self):
        items = self.pool.viewer.get(f"{ZOO}/refusals").json["items"]
        self.assertEqual([os.path.basename(item["path"]) for item in items], ["broken.png", "notes.txt"])
        for item in items:
            self.assertTrue(item["reason"])
        one = self.pool.viewer.get(f"{ZOO}/refusals?limit=1").json
        two = self.pool.viewer.get(f"{ZOO}/refusals?limit=1&after={urllib.parse.quote(one['next'])}").json
        self.assertEqual([one["items"][0], two["items"][0]], items)
        self.assertIsNone(two["next"])
        for wrong in ("x", "0", "00", "2f00", "zz", "a" * 20000):
            self.assertProblem(self.pool.viewer.get(f"{ZOO}/refusals?after={wrong}"), 400, "argument", parameter="after")


class Clusters(HttpTest):
    def test_clusters_cover_every_image(self):
        got = self.pool.viewer.get(f"{ZOO}/clusters").json
        self.assertEqual(sum(cluster["size"] for cluster in got["items"]), 60)
        self.assertEqual(sum(cluster["labelled"] for cluster in got["items"]), 16)
        self.assertIn("words", got["sanity"])
        for cluster in got["items"]:
            self.assertEqual(cluster, self.pool.viewer.get(f"{ZOO}/clusters/{cluster['id']}").json)
            inside = every_item(self.pool.viewer, f"{ZOO}/images?cluster={cluster['id']}")
            self.assertEqual(len(inside), cluster["size"])
            self.assertLessEqual(set(cluster["medoids"]), {image["id"] for image in inside})
        self.assertEqual(self.pool.viewer.get("/v1/projects/empty/clusters").json, {"items": [], "sanity": None})

    def test_a_cluster_takes_a_name_and_notes(self):
        cluster = self.pool.viewer.get(f"{ZOO}/clusters").json["items"][0]
        path = f"{ZOO}/clusters/{cluster['id']}"
        got = self.pool.lead.patch(path, {"name": "Vögel", "notes": "two lines\nof notes"}).json
        self.assertEqual((got["name"], got["notes"]), ("Vögel", "two lines\nof notes"))
        got = self.pool.lead.patch(path, {"notes": ""}).json
        self.assertEqual((got["name"], got["notes"]), ("Vögel", ""))
        self.assertEqual(self.pool.viewer.get(path).json, got)
        for body, pointer in (({"name": 1}, "/name"), ({"name": None}, "/name"), ({"name": "x" * 201}, "/name"),
                              ({"notes": []}, "/notes"), ({"notes": "x" * 10001}, "/notes"), ({"size": 1}, "/size")):
            self.assertProblem(self.pool.lead.patch(path, body), 422, "argument", pointer)

    def test_what_has_to_go_is_gone(self):
        """The last by name: it takes images away."""
        url = "/v1/projects/zoo/images"
        image = next(one for one in every_item(self.pool.viewer, url) if one["label"] is not None)
        path = f"{url}/{image['id']}"
        before = self.pool.viewer.get("/v1/projects/zoo").json
        self.assertProblem(self.pool.lead.delete(path), 403, "permission")
        self.assertEqual(self.pool.admin.delete(path).status, 204)
        for way in ("", "/thumbnail", "/original", "/similar"):
            self.assertProblem(self.pool.viewer.get(path + way), 404, "not-found")
        self.assertProblem(self.pool.admin.delete(path), 404, "not-found")
        after = self.pool.viewer.get("/v1/projects/zoo").json
        self.assertEqual((after["images"], after["labels"]), (before["images"] - 1, before["labels"] - 1))
        refused = {one["path"]: one["reason"] for one in every_item(self.pool.viewer, "/v1/projects/zoo/refusals")}
        self.assertEqual(refused[image["path"]], "removed on request")
        batch = self.pool.lead.post("/v1/projects/zoo/batches", {"size": 3}).json
        leased = batch["items"][0]["image"]
        got = self.pool.admin.delete(f"{url}/{leased}")
        self.assertProblem(got, 409, "conflict")
        self.assertIn(f"batch {batch['id']}", got.json["detail"])
        self.assertEqual(self.pool.lead.delete(f"/v1/projects/zoo/batches/{batch['id']}").status, 204)
        self.assertEqual(self.pool.admin.delete(f"{url}/{leased}").status, 204)
        # The batch that offered it goes on without it.
        items = self.pool.viewer.get(f"/v1/projects/zoo/batches/{batch['id']}").json["items"]
        self.assertEqual([one["image"] for one in items], [one["image"] for one in batch["items"][1:]])


if __name__ == "__main__":
    main()
