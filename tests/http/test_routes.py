"""The table of routes against the OpenAPI document and docs/api.md; every role against every route."""
import os
import re

from support import HERE, HttpTest, main, resolve

# What docs/api.md says about roles; what is not here only needs a viewer.
NEEDED = {
    ("DELETE", "/v1/projects/{p}/images/{i}"): "admin",
    ("POST", "/v1/projects"): "admin",
    ("DELETE", "/v1/projects/{p}"): "admin",
    ("POST", "/v1/projects/{p}/images"): "admin",
    ("PATCH", "/v1/projects/{p}"): "lead",
    ("PATCH", "/v1/projects/{p}/clusters/{c}"): "lead",
    ("POST", "/v1/projects/{p}/batches"): "lead",
    ("DELETE", "/v1/projects/{p}/batches/{b}"): "lead",
    ("POST", "/v1/projects/{p}/drift/accept"): "lead",
    ("POST", "/v1/projects/{p}/audits"): "lead",
    ("POST", "/v1/projects/{p}/audits/{a}/accept"): "lead",
    ("POST", "/v1/projects/{p}/audits/{a}/undo"): "lead",
    ("POST", "/v1/projects/{p}/runs"): "lead",
    ("DELETE", "/v1/projects/{p}/runs/{r}"): "lead",
    ("POST", "/v1/projects/{p}/labels"): "annotator",
    ("POST", "/v1/projects/{p}/batches/{b}/labels"): "annotator",
    ("POST", "/v1/projects/{p}/batches/{b}/renew"): "annotator",
}
PUBLIC = {"/healthz", "/readyz", "/login"}
RANK = ["viewer", "annotator", "lead", "admin"]


def filled(pattern, project="no-such-project"):
    return re.sub(r"\{[^}]*\}", "987654321", pattern.replace("{p}", project))


class Routes(HttpTest):
    def operations(self):
        document = self.pool.admin.get("/v1/openapi.json").json
        self.assertEqual(document["openapi"], "3.1.0")
        return document, [(method.upper(), path, what) for path, methods in document["paths"].items()
                          for method, what in methods.items()]

    def test_methods_of_every_path_are_those_described(self):
        _, operations = self.operations()
        for path in {path for _, path, _ in operations}:
            got = self.pool.admin.request("BREW", filled(path))
            self.assertProblem(got, 405, "method-not-allowed")
            described = {method for method, p, _ in operations if p == path}
            if "GET" in described and path != "/login":
                described.add("HEAD")
            self.assertEqual(set(got.headers["Allow"].split(", ")), described, path)

    def test_every_call_of_the_documentation_is_described(self):
        _, operations = self.operations()
        described = {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path, _ in operations}
        with open(os.path.join(HERE, "..", "..", "docs", "api.md"), encoding="utf-8") as file:
            text = file.read()
        documented = set()
        for cell in re.findall(r"^\| (`[A-Z][^|]*`)[^|]*\|", text, re.M):
            parts = re.findall(r"`([^`]*)`", cell)
            methods = re.match(r"[A-Z, ]+(?= )", parts[0]).group().replace(" ", "").split(",")
            paths = [parts[0].split(" ")[-1]] + parts[1:]
            # "…" stands for the project; a second path of a row stands beside the first one.
            first = paths[0].replace("…", "/v1/projects/{p}")
            for path in paths:
                path = path.replace("…", first.rpartition("/")[0] if path is not paths[0] else "/v1/projects/{p}")
                path = re.sub(r"\{[^}]*\}", "{}", path.partition("?")[0])
                documented |= {(method, path) for method in methods}
        self.assertEqual(documented, described)

    def test_references_of_the_document_lead_somewhere(self):
        document, _ = self.operations()
        used = set()

        def walk(value):
            if isinstance(value, dict):
                if "$ref" in value:
                    used.add(value["$ref"])
                    self.assertIsNotNone(resolve(document, value["$ref"]))
                for inner in value.values():
                    walk(inner)
            elif isinstance(value, list):
                for inner in value:
                    walk(inner)

        walk(document)
        for kind in ("schemas", "parameters", "responses"):
            for name in document["components"][kind]:
                self.assertIn(f"#/components/{kind}/{name}", used)

    def test_every_role_against_every_route(self):
        _, operations = self.operations()
        clients = [getattr(self.pool, role) for role in RANK]
        for method, path, what in operations:
            if path in PUBLIC:
                self.assertEqual(what["security"], [])
                continue
            needed = NEEDED.get((method, path), "viewer")
            self.assertEqual(what["description"], f"Role: {needed}.", (method, path))
            body = {} if "requestBody" in what else None
            self.assertProblem(self.pool.nobody.request(method, filled(path), body), 401, "unauthenticated")
            for rank, client in enumerate(clients):
                got = client.request(method, filled(path), body)
                if rank < RANK.index(needed):
                    self.assertProblem(got, 403, "permission")
                else:
                    self.assertNotIn(got.status, (401, 403, 405, 415), (method, path, RANK[rank], got))

    def test_every_project_route_says_404_for_no_such_project(self):
        _, operations = self.operations()
        bodies = {"ProjectChange": {}, "Register": {"paths": ["/x"]}, "LabelsGiven": {"labels": []}, "ClusterChange": {},
                  "DriftAccept": {}, "BatchRequest": {"size": 1}, "AuditRequest": {"kind": "duplicates"}, "Renew": {},
                  "RunStart": {"kind": "resample"}}
        for method, path, what in operations:
            if "{p}" not in path:
                continue
            body = None
            if "requestBody" in what:
                body = bodies[what["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]]
            self.assertProblem(self.pool.admin.request(method, filled(path), body), 404, "not-found")

    def test_every_id_route_says_404_for_no_such_id_and_for_one_of_another_project(self):
        _, operations = self.operations()
        zoo = "/v1/projects/zoo"
        ids = {"{i}": self.pool.viewer.get(f"{zoo}/images?limit=1").json["items"][0]["id"],
               "{c}": self.pool.viewer.get(f"{zoo}/clusters").json["items"][0]["id"],
               "{b}": self.pool.take(1)["id"],
               "{a}": self.pool.audit()["id"],
               "{r}": self.pool.viewer.get(f"{zoo}/runs").json["items"][0]["id"]}
        for method, path, what in operations:
            name = re.search(r"\{[icbra]\}", path)
            if name is None:
                continue
            body = None
            if "requestBody" in what:
                body = {"labels": []} if path.endswith("/labels") else {}
            for wrong in (filled(path, "zoo"), path.replace("{p}", "empty").replace(name.group(), str(ids[name.group()]))):
                self.assertProblem(self.pool.admin.request(method, wrong, body), 404, "not-found")
            for strange in ("0", "-1", "01", "x", "1.0", "9" * 40, "1%00", ""):
                got = self.pool.admin.request(method, path.replace("{p}", "zoo").replace(name.group(), strange), body)
                self.assertIn(got.status, (400, 404), (method, path, strange))

    def test_head_has_the_headers_of_get_and_no_body(self):
        for path in ("/v1/projects", "/v1/projects/zoo", "/healthz", "/nothing"):
            got, head = self.pool.admin.get(path), self.pool.admin.request("HEAD", path)
            self.assertEqual((head.status, head.body), (got.status, b""))
            for name in ("Content-Type", "Content-Length", "ETag"):
                self.assertEqual(head.headers[name], got.headers[name], path)

    def test_what_has_not_changed_is_not_sent_again(self):
        for path in ("/v1/projects", "/v1/projects/zoo/images", "/v1/projects/zoo/clusters"):
            tag = self.pool.viewer.get(path).headers["ETag"]
            for value in (tag, f'"x", {tag}', tag.removeprefix("W/"), "*"):
                got = self.pool.viewer.get(path, headers={"If-None-Match": value})
                self.assertEqual((got.status, got.body), (304, b""), value)
            self.assertEqual(self.pool.viewer.get(path, headers={"If-None-Match": '"x"'}).status, 200)


if __name__ == "__main__":
    main()
