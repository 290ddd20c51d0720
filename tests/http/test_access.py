"""Who may come in: tokens, the one-time link, sessions, CSRF, the Host header, the limit on failures."""
import socket

from support import Client, HttpTest, main, together


class Tokens(HttpTest):
    def test_no_credentials_are_refused_with_a_challenge(self):
        got = self.pool.nobody.get("/v1/projects")
        self.assertProblem(got, 401, "unauthenticated")
        self.assertEqual(got.headers["WWW-Authenticate"], "Bearer")

    def test_each_role_is_told_its_role(self):
        for role in ("viewer", "annotator", "lead", "admin"):
            got = Client(self.pool.server, self.pool.tokens[role]).get("/v1/session").json
            self.assertEqual((got["role"], got["csrf"]), (role, None))

    def test_a_revoked_token_is_refused(self):
        got = Client(self.pool.server, self.pool.tokens["revoked"]).get("/v1/projects")
        self.assertProblem(got, 401, "unauthenticated")
        self.assertIn("invalid_token", got.headers["WWW-Authenticate"])

    def test_the_scheme_is_bearer_in_any_case(self):
        token = self.pool.tokens["viewer"]
        for value, status in ((f"bearer {token}", 200), (f"Bearer   {token}", 200), (f"Basic {token}", 401),
                              (token, 401), ("Bearer", 401)):
            got = Client(self.pool.server, headers={"Authorization": value}).get("/v1/session")
            self.assertEqual(got.status, status, value)

    def test_health_needs_no_credentials(self):
        self.assertEqual(self.pool.nobody.get("/healthz").json, {"status": "ok"})
        self.assertEqual(self.pool.nobody.get("/readyz").json, {"status": "ok"})

    def test_the_dashboard_needs_no_credentials(self):
        page = self.pool.nobody.get("/")
        self.assertEqual(page.status, 200)
        self.assertTrue(page.headers["Content-Type"].startswith("text/"))
        again = self.pool.nobody.get("/", headers={"If-None-Match": page.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertProblem(self.pool.nobody.request("POST", "/", {}), 405, "method-not-allowed")


class Sessions(HttpTest):
    """In the order of their names, on one server: the link works once."""

    def log_in(self):
        """A fresh server, a fresh link."""
        self.pool.restart()
        got = self.pool.nobody.get(self.pool.server.login.removeprefix(self.pool.server.url))
        self.assertEqual((got.status, got.headers["Location"]), (303, "/"))
        cookie = got.headers["Set-Cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
            self.assertIn(part, cookie)
        self.assertNotIn("Secure", cookie)
        return Client(self.pool.server, headers={"Cookie": cookie.partition(";")[0]})

    def test_the_link_logs_in_once(self):
        browser = self.log_in()
        path = self.pool.server.login.removeprefix(self.pool.server.url)
        self.assertEqual(browser.get("/v1/projects").status, 200)
        again = self.pool.nobody.get(path)
        self.assertProblem(again, 403, "login-link")
        self.assertNotIn("Set-Cookie", again.headers)

    def test_a_preview_does_not_use_up_the_link(self):
        self.pool.restart()
        path = self.pool.server.login.removeprefix(self.pool.server.url)
        self.assertEqual(self.pool.nobody.request("HEAD", path).status, 405)
        self.assertEqual(self.pool.nobody.get(path).status, 303)

    def test_of_many_at_once_one_gets_in(self):
        self.pool.restart()
        path = self.pool.server.login.removeprefix(self.pool.server.url)
        statuses = together(8, lambda _: self.pool.nobody.get(path).status)
        self.assertEqual(sorted(statuses), [303] + [403] * 7)

    def test_a_write_under_a_cookie_needs_the_csrf_value(self):
        browser = self.log_in()
        session = browser.get("/v1/session").json
        self.assertEqual(session["role"], "admin")
        body = {"name": "from-a-browser", "classes": []}
        self.assertProblem(browser.post("/v1/projects", body), 403, "csrf")
        for wrong in ("", "0" * 64, session["csrf"][:-1], session["csrf"] + "0"):
            got = browser.post("/v1/projects", body, headers={"X-Gleaner-CSRF": wrong})
            self.assertProblem(got, 403, "csrf")
        self.assertEqual(browser.post("/v1/projects", body, headers={"X-Gleaner-CSRF": session["csrf"]}).status, 201)
        self.assertEqual(self.pool.admin.delete("/v1/projects/from-a-browser").status, 204)

    def test_logging_out_ends_the_session(self):
        browser = self.log_in()
        csrf = browser.get("/v1/session").json["csrf"]
        self.assertProblem(browser.delete("/v1/session"), 403, "csrf")
        self.assertEqual(browser.delete("/v1/session", headers={"X-Gleaner-CSRF": csrf}).status, 204)
        self.assertProblem(browser.get("/v1/session"), 401, "unauthenticated")

    def test_an_unknown_cookie_is_no_session(self):
        name = f"gleaner_session_{self.pool.server.port}"
        for value in ("", "0" * 64, "'; drop table token; --", "x" * 4000):
            got = Client(self.pool.server, headers={"Cookie": f"{name}={value}"}).get("/v1/session")
            self.assertProblem(got, 401, "unauthenticated")

    def test_a_token_goes_before_a_cookie(self):
        browser = self.log_in()
        got = browser.get("/v1/session", headers={"Authorization": f"Bearer {self.pool.tokens['viewer']}"})
        self.assertEqual(got.json["role"], "viewer")


class Failures(HttpTest):
    def test_ten_failures_close_the_door_but_not_to_those_inside(self):
        pool = self.pool
        self.assertEqual(pool.viewer.get("/v1/session").status, 200)
        wrong = Client(pool.server, "gln_no_such_token")
        for _ in range(10):
            self.assertProblem(wrong.get("/v1/session"), 401, "unauthenticated")
        got = wrong.get("/v1/session")
        self.assertProblem(got, 429, "rate-limit")
        self.assertTrue(1 <= int(got.headers["Retry-After"]) <= 60)
        # A token that was good lately goes on; one that was not has to wait, and so does the link.
        self.assertEqual(pool.viewer.get("/v1/session").status, 200)
        self.assertProblem(pool.annotator.get("/v1/session"), 429, "rate-limit")
        self.assertProblem(pool.nobody.get("/login?code=00"), 429, "rate-limit")
        self.assertEqual(pool.nobody.get("/healthz").status, 200)
        # Without credentials there is no log-in that could fail.
        self.assertProblem(pool.nobody.get("/v1/session"), 401, "unauthenticated")


class Hosts(HttpTest):
    def test_only_names_of_this_machine_are_answered(self):
        port = self.pool.server.port
        for host in ("localhost", f"localhost:{port}", f"LOCALHOST:{port}", "127.0.0.1", f"127.0.0.1:{port}",
                     f"[::1]:{port}", "[::1]"):
            self.assertEqual(self.pool.nobody.get("/healthz", headers={"Host": host}).status, 200, host)
        for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "localhost:", "localhost:x",
                     "127.0.0.1.evil.example", "[::1", "", "localhost:123456"):
            self.assertProblem(self.pool.nobody.get("/healthz", headers={"Host": host}), 421, "host")

    def test_no_host_at_all_is_refused(self):
        for line in (b"GET /healthz HTTP/1.0\r\n\r\n", b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"):
            with socket.create_connection((self.pool.server.host, self.pool.server.port)) as connection:
                connection.sendall(line)
                status = connection.recv(100).split()[1]
            self.assertIn(status, (b"400", b"421"))


if __name__ == "__main__":
    main()
