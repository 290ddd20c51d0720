"""Malformed and hostile input: whatever comes, the answer is a problem document below 500, and the server goes on."""
import http.client
import json
import random
import socket

from support import HttpTest, main

LABELS = "/v1/projects/zoo/labels"
MAX = 8 * 1024 * 1024


def label(text):
    """A body with `text` where a label's seconds are."""
    return b'{"labels": [{"image": 1, "class": "birds", "seconds": ' + text + b"}]}"


class Bodies(HttpTest):
    def send(self, raw, path=LABELS, **headers):
        return self.pool.admin.request("POST", path, raw=raw, headers=headers or None)

    def test_what_does_not_parse_is_400(self):
        deep = 200000
        for raw in (b"", b" ", b"{", b"}", b"[", b"nul", b"{]", b'{"labels": [}', b'{"labels": []', b'{"labels": [],}',
                    b'{"labels": []} x', b'{"labels": []}{}', b"'labels'", b'{labels: []}', b'{"labels": [] // x\n}',
                    b"\xef\xbb\xbf" + b'{"labels": []}x', b"\xff\xfe{\x00}\x00",
                    b'{"labels": [], "source": "\xff"}', b'{"labels": [], "source": "\xc0\xaf"}',
                    b'{"labels": [], "source": "\xed\xa0\x80"}', b'{"labels": [], "source": "a\\u0000b"}',
                    b'{"labels": [], "source": "a\x00b"}', b'{"labels": [], "labels": []}',
                    b'{"labels": [{"image": 1, "image": 2, "class": "birds"}]}',
                    label(b"NaN"), label(b"Infinity"), label(b"-Infinity"), label(b"1e999"), label(b"-1e999"), label(b"0x10"),
                    label(b"1e"), label(b"--1"), label(b"1.2.3"),
                    b'{"labels": ' + b"[" * deep + b"]" * deep + b"}", b"[" * deep, b'{"a":' * deep,
                    b'{"labels": [], "x": ' + b"[" * 70 + b"]" * 70 + b"}", b'{"labels": [], "x": "\\ud800"}'):
            self.assertProblem(self.send(raw), 400, "format")

    def test_json_that_is_no_object_or_has_strange_fields_is_422(self):
        for raw in (b"[]", b"1", b'"x"', b"null", b"true"):
            self.assertProblem(self.send(raw), 422, "argument")
        for name in ("__proto__", "", "labels ", "Labels", "x" * 5000, "\u202e", "'", "\\", "~/"):
            got = self.send(json.dumps({"labels": [], name: 1}).encode())
            problem = self.assertProblem(got, 422, "argument")
            if len(name) < 200:
                self.assertEqual(problem["pointer"], "/" + name.replace("~", "~0").replace("/", "~1"))

    def test_every_field_refuses_every_wrong_kind(self):
        """Each body of the document, each field, each kind of value that the document does not allow there."""
        document = self.pool.admin.get("/v1/openapi.json").json
        cluster = self.pool.viewer.get("/v1/projects/zoo/clusters").json["items"][0]["id"]
        batch = self.pool.take(1)
        fine = {"ProjectCreate": {"name": "wrong-kinds", "classes": []}, "LabelsGiven": {"labels": []},
                "Register": {"paths": ["/x"]}, "RunStart": {"kind": "resample"}, "BatchRequest": {"size": 1}}
        samples = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "null": None, "array": [1], "object": {"x": 1}}
        n = 0
        for path, methods in document["paths"].items():
            for method, what in methods.items():
                if "requestBody" not in what:
                    continue
                name = what["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                address = path.replace("{p}", "zoo").replace("{c}", str(cluster)).replace("{b}", str(batch["id"]))
                for field, schema in document["components"]["schemas"][name]["properties"].items():
                    allowed = set()
                    for way in schema.get("oneOf", [schema]):
                        # of a list of words only null is no wrong kind: the sample is none of them
                        kinds = way.get("type", "null" if "enum" in way and "oneOf" in schema else "string")
                        allowed |= {kinds} if isinstance(kinds, str) else set(kinds)
                    allowed |= {"integer"} if "number" in allowed else set()
                    for kind, value in samples.items():
                        if kind in allowed:
                            continue
                        got = self.pool.admin.request(method.upper(), address, {**fine.get(name, {}), field: value})
                        self.assertProblem(got, 422, "argument", f"/{field}")
                        n += 1
        self.assertGreater(n, 100)
        self.pool.release(batch)

    def test_a_body_of_another_type_is_415(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx",
                     "application/json; charset=latin-1", "application/json; charset=utf-16", "json", ""):
            got = self.send(b'{"labels": []}', **{"Content-Type": kind})
            self.assertProblem(got, 415, "media-type")
        for kind in ("application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8",
                     'application/json; charset="utf-8"'):
            self.assertEqual(self.send(b'{"labels": []}', **{"Content-Type": kind}).status, 200, kind)

    def test_the_largest_body_is_taken_and_a_larger_one_is_413(self):
        body = b'{"labels": []}'
        self.assertEqual(self.send(body + b" " * (MAX - len(body))).status, 200)
        # Announced: answered before it is sent.
        for length in (MAX + 1, 1 << 40, (1 << 63) - 1):
            connection = http.client.HTTPConnection(self.pool.server.host, self.pool.server.port, timeout=60)
            connection.putrequest("POST", LABELS)
            for name, value in {**self.pool.admin.headers, "Content-Type": "application/json",
                                "Content-Length": str(length)}.items():
                connection.putheader(name, value)
            connection.endheaders()
            got = connection.getresponse()
            self.assertEqual((got.status, json.loads(got.read())["type"]), (413, "/problems/limit"))
            connection.close()
        # Not announced: read up to the maximum, then dropped.
        connection = http.client.HTTPConnection(self.pool.server.host, self.pool.server.port, timeout=60)
        connection.request("POST", LABELS, body=(b" " * 65536 for _ in range(MAX // 65536 + 2)), encode_chunked=True,
                           headers={**self.pool.admin.headers, "Content-Type": "application/json",
                                    "Transfer-Encoding": "chunked"})
        self.assertEqual(connection.getresponse().status, 413)
        connection.close()

    def test_many_members_and_long_strings_are_answered(self):
        many = {f"m{i}": 0 for i in range(100000)}
        self.assertIn(self.send(json.dumps({"labels": [], "x": many}).encode()).status, (400, 422))
        self.assertProblem(self.send(json.dumps({"labels": [], "source": "x" * 4000000}).encode()), 422, "argument", "/source")
        self.assertProblem(self.send(b'{"labels": [' + b"{}," * 500000 + b"{}]}"), 422, "argument", "/labels")

    def test_a_refused_body_leaves_the_connection_usable(self):
        connection = http.client.HTTPConnection(self.pool.server.host, self.pool.server.port, timeout=60)
        for token, status in (("wrong", 401), (self.pool.tokens["viewer"], 403), (self.pool.tokens["admin"], 200)):
            connection.request("POST", LABELS, body=b'{"labels": []}' + b" " * 1000000, headers={
                "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
            got = connection.getresponse()
            got.read()
            self.assertEqual(got.status, status)
        connection.close()


class Addresses(HttpTest):
    def test_malformed_addresses_are_400(self):
        for path in ("/v1/projects/%", "/v1/projects/%2", "/v1/projects/%zz", "/v1/projects/%00", "/v1/projects/a%00b",
                     "/v1/projects/%ff", "/v1/projects/%c0%af", "/v1/projects?limit=%", "/v1/projects?limit=%00",
                     "/v1/projects?%ff=1", "/a/b/c/d/e/f/g/h/i", "/v1/projects?" + "&".join(f"a{i}=1" for i in range(17))):
            self.assertProblem(self.pool.admin.get(path), 400, "format")

    def test_what_is_not_there_is_404(self):
        for path in ("/v1", "/v1/", "/v2/projects", "/v1/projects/", "/v1//projects", "/v1/projects/zoo/", "/v1/Projects", "/x",
                     "//", "/healthz/", "/index.php", "/assets/", "/assets/x.js", "/v1/projects/zoo%2Fimages",
                     "/v1/projects/%27%3B%20drop%20table%20image", "/v1/projects/" + "x" * 5000):
            self.assertProblem(self.pool.admin.get(path), 404, "not-found")

    def test_nothing_climbs_out(self):
        for path in ("/../etc/passwd", "/../../../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd",
                     "/assets/../../etc/passwd", "/assets/..%5c..%5cetc/passwd", "/v1/../v1/projects", "/./healthz", "//etc/passwd",
                     "/v1/projects/../../etc/passwd", "/v1/projects/%2e%2e%2f%2e%2e/images",
                     "/v1/projects/..%2f..%2fgleaner.db/images"):
            self.assertProblem(self.pool.admin.get(path), 404, "not-found")

    def test_a_method_nobody_knows_is_405_and_the_unknown_path_404(self):
        for method in ("PUT", "OPTIONS", "TRACE", "BREW", "get", "PROPFIND"):
            self.assertProblem(self.pool.admin.request(method, "/v1/projects"), 405, "method-not-allowed")
            self.assertProblem(self.pool.admin.request(method, "/v1/nothing"), 404, "not-found")

    def test_noise_on_the_socket_harms_nobody(self):
        rng = random.Random(7)
        seeds = [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"POST /v1/projects/zoo/labels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{}",
                 b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                 b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                 b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000,
                 b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n" * 1000, b"\x00" * 1000]
        for i in range(120):
            noise = bytearray(seeds[i % len(seeds)])
            for _ in range(0 if i < len(seeds) else rng.randrange(1, 6)):
                noise[rng.randrange(len(noise))] = rng.randrange(256)
            with socket.create_connection((self.pool.server.host, self.pool.server.port), timeout=0.1) as connection:
                try:
                    connection.sendall(noise)
                    connection.shutdown(socket.SHUT_WR)
                    answer = b""
                    while len(answer) < 65536 and (part := connection.recv(4096)):
                        answer += part
                except OSError:  # closed, reset, or no answer: all of them fine
                    continue
                self.assertNotIn(b"HTTP/1.1 500", answer)
        self.assertEqual(self.pool.nobody.get("/healthz").status, 200)


if __name__ == "__main__":
    main()
