"""Many clients at once, slow ones, ones that go away; stopping while requests are in flight."""
import http.client
import random
import socket
import threading

from support import HttpTest, every_item, main, together, truth

ZOO = "/v1/projects/zoo"


class Load(HttpTest):
    def test_everything_at_once(self):
        """Eight clients, a mix of reads and writes from fixed seeds: every answer is one that the documentation names."""
        pool = self.pool
        ids = [image["id"] for image in every_item(pool.viewer, f"{ZOO}/images")]

        def one(rng, mine):
            image = rng.choice(ids)
            what = rng.randrange(12)
            if what == 0:
                return pool.viewer.get(f"{ZOO}/images?limit=20&after={rng.choice(ids)}"), {200}
            if what == 1:
                return pool.viewer.get(f"{ZOO}/images/{image}/thumbnail"), {200}
            if what == 2:
                return pool.viewer.get(f"{ZOO}/images/{image}/similar?k=5"), {200}
            if what == 3:
                return pool.viewer.get(f"{ZOO}/clusters"), {200}
            if what == 4:
                return pool.viewer.get(f"{ZOO}/balance"), {200}
            if what == 5:
                return pool.annotator.post(f"{ZOO}/labels", {"labels": [{"image": image, "class": None}]}), {200}
            if what in (6, 7):
                got = pool.lead.post(f"{ZOO}/batches", {"size": rng.randrange(1, 4)})
                if got.status == 201:
                    mine.append(got.json)
                return got, {201, 409}
            if what == 8 and mine:
                batch = mine.pop()
                return pool.lead.delete(f"{ZOO}/batches/{batch['id']}"), {204}
            if what in (9, 10) and mine:
                item = mine[-1]["items"][0]
                body = {"labels": [{"image": item["image"], "class": truth(item["path"])}]}
                return pool.annotator.post(f"{ZOO}/batches/{mine.pop()['id']}/labels", body), {200}
            return pool.viewer.get(f"{ZOO}/ledger?limit=5"), {200}

        def client(i):
            rng, mine = random.Random(i), []
            for _ in range(40):
                got, wanted = one(rng, mine)
                self.assertIn(got.status, wanted, got)

        run = pool.lead.post(f"{ZOO}/runs", {"kind": "resample", "seed": 3}).json
        together(8, client)
        pool.wait_run("zoo", run["id"])
        ledger = pool.viewer.get(f"{ZOO}/ledger").json
        open_batches = [b for b in every_item(pool.viewer, f"{ZOO}/batches") if b["state"] == "leased"]
        held = 0.0
        for batch in open_batches:
            items = pool.viewer.get(f"{ZOO}/batches/{batch['id']}").json["items"]
            held += sum(item["price"] for item in items if item["state"] == "leased")
        self.assertAlmostEqual(ledger["reserved"], held)

    def test_slow_clients_hold_up_nobody(self):
        """More half-sent requests than there are threads."""
        where = (self.pool.server.host, self.pool.server.port)
        head = b"POST /v1/projects/zoo/labels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" \
               b"Authorization: Bearer " + self.pool.tokens["admin"].encode() + b"\r\nContent-Length: 100\r\n\r\n"
        parts = [b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: local", head, head + b'{"labels": [']
        slow = [socket.create_connection(where) for _ in range(60)]
        try:
            for i, connection in enumerate(slow):
                connection.sendall(parts[i % len(parts)])
            for _ in range(20):
                self.assertEqual(self.pool.viewer.get(f"{ZOO}/images?limit=5").status, 200)
            # One of them gets to its end after all.
            rest = b"]}".ljust(100 - len(b'{"labels": ['))
            slow[3].sendall(rest)
            self.assertEqual(slow[3].recv(200).split()[1], b"200")
        finally:
            for connection in slow:
                connection.close()
        self.assertEqual(self.pool.nobody.get("/healthz").status, 200)

    def test_clients_that_go_away_leave_nothing_behind(self):
        where = (self.pool.server.host, self.pool.server.port)
        image = self.pool.viewer.get(f"{ZOO}/images?limit=1").json["items"][0]["id"]
        request = f"GET {ZOO}/images/{image}/original HTTP/1.1\r\nHost: localhost\r\n" \
                  f"Authorization: Bearer {self.pool.tokens['viewer']}\r\n\r\n".encode()
        for _ in range(100):
            with socket.create_connection(where) as connection:
                connection.sendall(request * 3)  # three in a row, and not one answer is read
        self.assertEqual(self.pool.viewer.get(f"{ZOO}/images/{image}").status, 200)

    def test_a_connection_is_used_again(self):
        connection = http.client.HTTPConnection(self.pool.server.host, self.pool.server.port, timeout=60)
        for _ in range(50):
            connection.request("GET", f"{ZOO}/balance", headers=self.pool.viewer.headers)
            got = connection.getresponse()
            self.assertEqual(got.status, 200)
            got.read()
        connection.close()


class Stopping(HttpTest):
    def test_what_was_answered_is_kept_and_no_request_is_cut_off(self):
        pool = self.pool
        answered, unexpected = [], []

        def client(i):
            while True:
                try:
                    got = pool.lead.post(f"{ZOO}/batches", {"size": 1, "holder": f"client {i}"})
                except (ConnectionError, http.client.BadStatusLine):
                    return  # no new connections, or closed before a word was said
                except Exception as failure:
                    unexpected.append(failure)
                    return
                if got.status == 201:
                    answered.append(got.json["id"])
                elif got.status != 409:
                    unexpected.append(got)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        while len(answered) < 8:
            pass
        pool.stop()
        for thread in threads:
            thread.join()
        self.assertEqual(unexpected, [])
        pool.start()
        kept = {batch["id"] for batch in every_item(pool.viewer, f"{ZOO}/batches")}
        self.assertLessEqual(set(answered), kept)

    def test_a_lock_keeps_a_second_server_out(self):
        from support import Server
        with self.assertRaisesRegex(AssertionError, "lock|owns|process|uses|in use"):
            Server(self.pool.data)


if __name__ == "__main__":
    main()
