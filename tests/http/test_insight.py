"""Forecast, label checks and drift over HTTP: what the resampled pool says, what an empty one says, what makes no sense."""
from support import HttpTest, main

ZOO, EMPTY = "/v1/projects/zoo", "/v1/projects/empty"


class Insight(HttpTest):
    def test_forecast_of_few_labels_says_so(self):
        got = self.pool.viewer.get(f"{ZOO}/forecast?labels=50&point_value=20").json
        self.assertEqual(got["verdict"], "unknown")
        self.assertIn("Not enough labels to say", got["words"])
        self.assertEqual(got["labels_more"], 50)
        self.assertAlmostEqual(got["price"], 5.0)  # 50 labels at 0.10
        self.assertAlmostEqual(got["minutes"], 5.0)  # 6 seconds each are configured
        self.assertEqual((got["gain"], got["p_worth"], got["classes"], got["curve"]), (None, None, [], []))

    def test_minutes_follow_what_returned_labels_took(self):
        images = [image["id"] for image in self.pool.viewer.get(f"{ZOO}/images?labelled=false&limit=12").json["items"]]
        labels = [{"image": image, "class": "birds", "seconds": 24} for image in images]
        self.assertEqual(self.pool.annotator.post(f"{ZOO}/labels", {"labels": labels}).json["taken"], 12)
        try:
            minutes = self.pool.viewer.get(f"{ZOO}/forecast?labels=50").json["minutes"]
            self.assertGreater(minutes, 6.0)   # one class of four takes longer now,
            self.assertLess(minutes, 8.75)     # but not all of four times as long
            batch = self.pool.take(4)
            self.assertGreater(batch["minutes"], 0.4)
        finally:
            self.pool.annotator.post(f"{ZOO}/labels", {"labels": [{"image": image, "class": None} for image in images]})

    def test_before_the_first_resample_there_are_answers_too(self):
        for name in ("forecast", "label-checks", "drift"):
            got = self.pool.viewer.get(f"{EMPTY}/{name}").json
            self.assertIsNone(got["run"])
            self.assertIn("resample", got["words"])
        self.assertProblem(self.pool.lead.post(f"{EMPTY}/drift/accept"), 409, "conflict")

    def test_label_checks_count_every_label(self):
        got = self.pool.viewer.get(f"{ZOO}/label-checks").json
        self.assertEqual(got["labels"], 16)
        self.assertEqual(sum(c["labels"] for c in got["classes"]), 16)
        self.assertEqual(len(got["items"]), got["suspects"])

    def test_drift_has_no_arrivals_yet_and_can_be_accepted(self):
        got = self.pool.viewer.get(f"{ZOO}/drift").json
        self.assertEqual((got["verdict"], got["arrivals"], got["accepted"]), ("unknown", 0, False))
        images = self.pool.viewer.get(f"{ZOO}").json["images"]
        self.assertEqual(got["reference"], images)
        self.assertEqual(self.pool.lead.post(f"{ZOO}/drift/accept").json["reference_image"], got["reference_image"])

    def test_an_acceptance_of_drift_moves_the_window_to_a_known_image_only(self):
        accept = f"{ZOO}/drift/accept"
        before = self.pool.viewer.get(f"{ZOO}/drift").json["reference_image"]
        got = self.pool.lead.post(accept, {"reference_image": before})
        self.assertEqual((got.status, got.json["accepted"]), (200, False))
        for wrong in (before + 1000, 0, "1", 1.5):
            got = self.pool.lead.post(accept, {"reference_image": wrong})
            self.assertProblem(got, 422, "argument")
            self.assertEqual(got.json["pointer"], "/reference_image")

    def test_parameters_that_make_no_sense_are_named(self):
        for query in ("labels=0", "labels=-1", "labels=x", "labels=1000001", "point_value=0", "point_value=-3", "point_value=nan",
                      "point_value=1e3", "point_value=", "point_value=1.2.3", "price=x", "price=-1", "price=9999999999999"):
            got = self.pool.viewer.get(f"{ZOO}/forecast?{query}")
            self.assertProblem(got, 400, "argument")
            self.assertEqual(got.json["parameter"], query.partition("=")[0])
        self.assertProblem(self.pool.viewer.get(f"{ZOO}/drift?alpha=1"), 400, "argument")
        self.assertProblem(self.pool.viewer.get(f"{ZOO}/label-checks?limit=0"), 400, "argument")


if __name__ == "__main__":
    main()
