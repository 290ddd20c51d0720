"""What the HTTP tests share: a real server on a free port, with real photos, and a client that holds every answer
against the OpenAPI document which the server itself gives.

A test module begins with `setUpModule = ...` from serve(); only that process is stopped at the end, and its log must be free
of faults. The data directory is copied from one made by make_pool.py (GLN_HTTP_POOL, set by ctest) or made on the spot.
"""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY_DIR = os.environ.get("GLN_BINARY_DIR", "")
GLEANER = os.path.join(BINARY_DIR, "cli", "gleaner")
BACKBONE = os.path.join(os.environ.get("GLN_DEPS", ""), "backbones", "efficientnet-lite0.json")
STAMPS = "/usr/share/tuxpaint/stamps"
# Folder of the stamps, name of the class, and how many of its photos are taken: a long tail.
CLASSES = (("animals/birds", "birds", 24), ("plants/flowers", "flowers", 16), ("food/fruit", "fruit", 12),
           ("household/tools", "tools", 8))
ROLES = ("viewer", "annotator", "lead", "admin")
PATIENCE_S = 300  # for a run to end, sanitizers included; never a measurement


def missing():
    """What the tests need and this machine lacks, or None."""
    if not os.path.exists(GLEANER):
        return f"the program {GLEANER or 'gleaner (GLN_BINARY_DIR)'}"
    if not os.path.exists(BACKBONE):
        return f"the backbone {BACKBONE} (GLN_DEPS, made by tools/setup.sh)"
    if not os.path.isdir(os.path.join(STAMPS, "animals/birds")):
        return f"the photos {STAMPS} (Debian package tuxpaint-stamps-default)"
    return None


def command(*arguments, check=True):
    """Runs the program to its end."""
    done = subprocess.run([GLEANER, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"gleaner {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Server:
    """One `gleaner serve`."""

    def __init__(self, data, *options):
        self.log_file = tempfile.NamedTemporaryFile("w+", prefix="gleaner-log-")
        self.process = subprocess.Popen([GLEANER, "serve", "--data", data, "--port", "0", *options], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log_file)
        found = {}
        while len(found) < 2:
            line = self.process.stdout.readline()
            if not line:
                self.process.wait()
                self.process.stdout.close()
                raise AssertionError(f"the server ended: {self.log()}")
            word, _, rest = line.strip().partition(" ")
            found[word] = rest
        self.url = found["listening"].removeprefix("on ")
        self.login = found["login"]
        self.host, _, port = self.url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def log(self):
        with open(self.log_file.name) as file:
            return file.read()

    def stop(self):
        """Asks it to stop as an init system would; it must do so in good order and have logged no fault."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        log = self.log()
        self.log_file.close()
        if code != 0 or re.search(r" error \S+ \S+ 5\d\d |Sanitizer", log):
            raise AssertionError(f"the server ended with {code}; its log:\n{log}")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class Client:
    """Sends requests with one set of credentials. Every answer below /v1 is held against the OpenAPI document."""

    documents = {}  # by server url

    def __init__(self, server, token=None, headers=None):
        self.server = server
        self.headers = dict(headers or {})
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method, path, body=None, headers=None, raw=None):
        """`body` is sent as JSON, `raw` as it is."""
        sent = {**self.headers, **(headers or {})}
        sent = {name: value for name, value in sent.items() if value is not None}
        if raw is not None:
            data = raw
        else:
            data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.server.host.strip("[]"), self.server.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body=data, headers=sent)
            got = connection.getresponse()
            answer = Answer(got.status, got.headers, got.read())
        finally:
            connection.close()
        self.check(method, path, answer)
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, body, **more)

    def patch(self, path, body=None, **more):
        return self.request("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def check(self, method, path, answer):
        where = f"{method} {path} -> {answer}"
        assert answer.status != 500, where
        for name in ("X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy"):
            assert name in answer.headers, f"{where}: no {name}"
        if answer.status >= 400 and method != "HEAD":
            assert answer.headers["Content-Type"] == "application/problem+json", where
            problem = answer.json
            assert problem["status"] == answer.status and problem["type"].startswith("/problems/"), where
            assert problem["detail"], where
        document = self.documents.get(self.server.url)
        if document is None or method == "HEAD":
            return
        operation = find_operation(document, method, path.partition("?")[0])
        if operation is None or answer.status == 304:
            return
        response = operation["responses"].get(str(answer.status)) or operation["responses"]["default"]
        if "$ref" in response:
            response = resolve(document, response["$ref"])
        if answer.status >= 300 and "default" not in operation["responses"]:
            return
        for kind, content in response.get("content", {}).items():
            if "schema" in content and answer.headers["Content-Type"] == kind:
                wrong = violation(document, content["schema"], answer.json, "")
                assert wrong is None, f"{where}: {wrong}"


# ---- the OpenAPI document ------------------------------------------------------------------------------------------

def find_operation(document, method, path):
    for pattern, methods in document["paths"].items():
        expression = "".join("[^/]+" if part.startswith("{") else re.escape(part)
                             for part in re.split(r"(\{[^}]*\})", pattern))
        if re.fullmatch(expression, path) and method.lower() in methods:
            return methods[method.lower()]
    return None


def resolve(document, reference):
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


TYPES = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}


def has_type(value, name):
    if name == "integer":
        # 7e15 is a whole number too, whichever way it is written.
        return isinstance(value, int) and not isinstance(value, bool) or isinstance(value, float) and value.is_integer()
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def known_properties(document, schema):
    """The members that a schema names, its parts included; None when it names none and so takes any."""
    if "$ref" in schema:
        return known_properties(document, resolve(document, schema["$ref"]))
    names = set(schema.get("properties", ()))
    for part in schema.get("allOf", ()):
        names |= known_properties(document, part) or set()
    return names or None


def violation(document, schema, value, where, closed=True):
    """The first way in which a value does not fit its schema, in words. What a schema does not name is a violation too: the
    document says everything."""
    if "$ref" in schema:
        return violation(document, resolve(document, schema["$ref"]), value, where, closed)
    if "oneOf" in schema:
        fits = [part for part in schema["oneOf"] if violation(document, part, value, where) is None]
        return None if len(fits) == 1 else f"{where}: fits {len(fits)} of the alternatives: {str(value)[:200]}"
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(has_type(value, name) for name in types):
        return f"{where}: {str(value)[:80]!r} is not {types}"
    if "enum" in schema and value not in schema["enum"] or "const" in schema and value != schema["const"]:
        return f"{where}: {value!r} is not one of the values"
    if isinstance(value, dict):
        names = known_properties(document, schema)
        if closed and names is not None and not set(value) <= names:
            return f"{where}: {sorted(set(value) - names)} is not described"
        for name in schema.get("required", ()):
            if name not in value:
                return f"{where}: {name} is missing"
        for name, inner in schema.get("properties", {}).items():
            wrong = violation(document, inner, value[name], f"{where}/{name}") if name in value else None
            if wrong:
                return wrong
    for part in schema.get("allOf", ()):
        wrong = violation(document, part, value, where, False)
        if wrong:
            return wrong
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            wrong = violation(document, schema["items"], item, f"{where}/{i}")
            if wrong:
                return wrong
    return None


# ---- the pool of photos ---------------------------------------------------------------------------------------------

def copy_photos(folder):
    """Photos in one folder a class, a second copy of one of them, and two files that are no photos."""
    first = None
    for source, name, n in CLASSES:
        os.makedirs(os.path.join(folder, name))
        files = sorted(f for f in os.listdir(os.path.join(STAMPS, source)) if f.endswith(".png"))[:n]
        for file in files:
            shutil.copyfile(os.path.join(STAMPS, source, file), os.path.join(folder, name, file))
        first = first or os.path.join(folder, name, files[0])
    shutil.copyfile(first, os.path.join(folder, "birds", "a second name.png"))
    with open(first, "rb") as file:
        half = file.read()
    with open(os.path.join(folder, "broken.png"), "wb") as file:
        file.write(half[:len(half) // 2])
    with open(os.path.join(folder, "notes.txt"), "w") as file:
        file.write("not a photo\n")


def make_pool(folder):
    """A data directory `folder`/data with a resampled project "zoo", an empty one, and a token of each role."""
    data, photos = os.path.join(folder, "data"), os.path.join(folder, "photos")
    copy_photos(photos)
    specs = [option for _, name, _ in CLASSES for option in ("--class", f"{name}:price=0.10,seconds=6")]
    command("init", "--data", data, "--backbone", BACKBONE, "--project", "zoo", *specs)
    command("init", "--data", data, "--project", "empty", "--classes", "a,b")
    command("ingest", "--data", data, "--project", "zoo", photos)
    tokens = {role: token(data, role) for role in ROLES}
    tokens["revoked"] = token(data, "admin")
    listed = json.loads(command("token", "list", "--data", data, "--json"))
    command("token", "revoke", str(listed[-1]["id"]), "--data", data)
    label_some(data, photos)
    command("resample", "--data", data, "--project", "zoo")
    with open(os.path.join(folder, "tokens.json"), "w") as file:
        json.dump(tokens, file)


def token(data, role):
    return json.loads(command("token", "add", "--data", data, "--name", f"the {role}", "--role", role, "--json"))["token"]


def label_some(data, photos):
    """Four labels of each class, so that the resample finds a classifier."""
    lines = ["path,class"]
    for _, name, _ in CLASSES:
        folder = os.path.join(photos, name)
        lines += [f"{os.path.join(folder, file)},{name}" for file in sorted(os.listdir(folder))[1:5]]
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        command("label", "--data", data, "--project", "zoo", "--csv", file.name)


class Pool:
    """A private copy of the pool and a server on it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="gleaner-http-")
        made = os.environ.get("GLN_HTTP_POOL", "")
        if not os.path.exists(os.path.join(made, "tokens.json")):
            made = os.path.join(self.folder, "made")
            os.makedirs(made)
            make_pool(made)
        self.photos = os.path.join(made, "photos")
        self.data = os.path.join(self.folder, "data")
        shutil.copytree(os.path.join(made, "data"), self.data)
        self.new_photos = os.path.join(self.folder, "new")
        os.makedirs(self.new_photos)
        with open(os.path.join(made, "tokens.json")) as file:
            self.tokens = json.load(file)
        self.start()

    def start(self):
        self.server = Server(self.data, "--allow-root", self.new_photos)
        self.viewer, self.annotator, self.lead, self.admin = (Client(self.server, self.tokens[role]) for role in ROLES)
        self.nobody = Client(self.server)
        Client.documents[self.server.url] = self.admin.get("/v1/openapi.json").json

    def stop(self):
        self.server.stop()

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def wait_run(self, project, run, states=("done",)):
        """Follows a run to its end."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            got = self.viewer.get(f"/v1/projects/{project}/runs/{run}").json
            if got["state"] not in ("queued", "running"):
                assert got["state"] in states, got
                return got
            time.sleep(0.05)
        raise AssertionError(f"run {run} did not end")

    def take(self, size=4, **more):
        got = self.lead.post("/v1/projects/zoo/batches", {"size": size, **more})
        assert got.status == 201, got
        return got.json

    def audit(self, **more):
        """An audit of whatever is proposed first; a pool this small proposes something at an easy bound only."""
        easy = {"bound": 0.5, "confidence": 0.5}
        items = self.viewer.get("/v1/projects/zoo/proposals?bound=0.5&confidence=0.5").json["items"]
        first = next(item for item in items if item["kind"] == "cluster")
        got = self.lead.post("/v1/projects/zoo/audits", {"kind": first["kind"], "cluster": first["cluster"],
                                                         "class": first["class"], **easy, **more})
        assert got.status == 201, got
        return got.json

    def release(self, batch):
        assert self.lead.delete(f"/v1/projects/zoo/batches/{batch['id']}").status == 204


def truth(path):
    """The class of a photo: the name of its folder."""
    return os.path.basename(os.path.dirname(path))


class HttpTest(unittest.TestCase):
    """A class of tests on one server, started before the first of them."""

    @classmethod
    def setUpClass(cls):
        what = missing()
        if what:
            raise unittest.SkipTest(f"without {what}")
        cls.pool = Pool()
        cls.addClassCleanup(cls.pool.close)

    def assertProblem(self, answer, status, kind=None, pointer=None, parameter=None):
        self.assertEqual(answer.status, status, answer)
        problem = answer.json
        if kind is not None:
            self.assertEqual(problem["type"], f"/problems/{kind}", answer)
        if pointer is not None:
            self.assertEqual(problem.get("pointer"), pointer, answer)
        if parameter is not None:
            self.assertEqual(problem.get("parameter"), parameter, answer)
        return problem


def every_item(client, path):
    """All pages of a list."""
    items, after = [], ""
    while after is not None:
        separator = "&" if "?" in path else "?"
        page = client.get(f"{path}{separator}limit=7" + (f"&after={urllib.parse.quote(after)}" if after else "")).json
        items += page["items"]
        after = page["next"]
    return items


def together(n, work):
    """Runs work(i) on n threads at once and gives the results; the first failure is raised."""
    results, failures = [None] * n, []
    barrier = threading.Barrier(n)

    def body(i):
        try:
            barrier.wait()
            results[i] = work(i)
        except BaseException as failure:  # carried to the caller, whatever it is
            failures.append(failure)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


def main():
    """Runs the tests of a module; 77, which ctest reports as skipped, when all of them were."""
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    ran = result.testsRun - len(result.skipped)
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.skipped and ran <= 0 else 0)
