"""Visitors of the shop: seeded sessions over HTTP, balanced on the client's side.

    python -m selfheal.demo.traffic --routing routing.json --seconds 20 --rate 60 --seed 1

A visitor chooses an instance by the weights of routing.json when the session begins and
stays with it. Requests leave at a fixed rate whatever the shop's speed (an open loop), so
that equal seeds ask equal things of every release. What was answered is one JSON object
on standard output at the end.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

PRODUCTS = 480
CUSTOMERS = 48
CATEGORIES = ("garden", "kitchen", "lighting", "office", "outdoor", "storage", "textiles", "tools")
WORDS = ("sturdy", "light", "washable", "foldable", "handmade", "recycled")
CURRENCIES = ("EUR", "USD", "GBP", "CHF")
ACTIONS = {
    "category": 11,
    "product": 15,
    "reviews": 10,
    "quote": 10,
    "recommendations": 9,
    "search": 10,
    "price_list": 9,
    "deals": 10,
    "add": 10,
    "cart": 4,
    "order": 6,
    "orders": 9,
    "categories": 4,
    "currencies": 4,
}
SESSION_REQUESTS = (5, 14)
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Visit:
    """One request: `body` is sent as JSON, None sends none."""

    method: str
    target: str
    body: dict[str, int] | None = None


def session(draw: random.Random) -> Iterator[Visit]:
    """What one visitor asks for, one request after the other."""
    actions, weights = zip(*ACTIONS.items(), strict=True)
    carried = 0
    for _ in range(draw.randint(*SESSION_REQUESTS)):
        action = draw.choices(actions, weights)[0]
        if action == "order" and not carried:
            action = "add"
        if action in ("add", "order"):
            carried = carried + 1 if action == "add" else 0
        yield visit(action, draw)


def visit(action: str, draw: random.Random) -> Visit:
    """One request of a kind, with the details that people fill in or leave out."""
    product = draw.randint(1, PRODUCTS)
    match action:
        case "category":
            return Visit("GET", f"/categories/{draw.choice(CATEGORIES)}")
        case "product":
            return Visit("GET", f"/products/{product}")
        case "reviews" | "recommendations":
            return Visit("GET", f"/products/{product}/{action}")
        case "quote":
            return Visit("GET", f"/products/{product}/quote?quantity={draw.choice((1, 2, 6, 24))}")
        case "search":
            return Visit("GET", "/search?" + urlencode({"q": " ".join(draw.sample(WORDS, 3))}))
        case "price_list":
            query = urlencode({"currency": draw.choice(CURRENCIES)})
            return Visit("GET", f"/pricelist/{draw.choice(CATEGORIES)}?{query}")
        case "deals":
            limit = draw.choices(("", str(draw.randint(20, 150)), None), (16, 44, 40))[0]
            return Visit("GET", "/deals" if limit is None else f"/deals?limit={limit}")
        case "add":
            item = {"product": product, "quantity": draw.randint(1, 3)}
            if draw.random() < 0.16:
                del item["quantity"]
            return Visit("POST", "/cart/items", item)
        case "order":
            return Visit("POST", "/orders", {"customer": draw.randint(1, CUSTOMERS)})
        case "orders":
            return Visit("GET", f"/customers/{draw.randint(1, CUSTOMERS)}/orders")
        case _:
            return Visit("GET", f"/{action}")


class Balancer:
    """Chooses an instance by the weights of routing.json, read again when it changes."""

    def __init__(self, routing: Path) -> None:
        self.routing = routing
        self._read_at = -1
        self._instances: list[tuple[str, float]] = []
        self._lock = threading.Lock()

    def choose(self, draw: random.Random) -> str | None:
        """The URL of an instance, None where there is none with traffic."""
        with self._lock:
            changed = self.routing.stat().st_mtime_ns
            if changed != self._read_at:
                instances = json.loads(self.routing.read_text("utf-8"))["instances"]
                self._instances = [
                    (each["url"], each["weight"]) for each in instances if each["weight"] > 0
                ]
                self._read_at = changed
        if not self._instances:
            return None
        urls, weights = zip(*self._instances, strict=True)
        chosen: str = draw.choices(urls, weights)[0]
        return chosen


class Visitor:
    """One session with one instance: a kept connection and the cookie that it was given."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
        self.cookie: str | None = None

    def ask(self, visit: Visit) -> int:
        """The status of the answer. Raises OSError or HTTPException where there is none."""
        headers = {"Cookie": self.cookie} if self.cookie else {}
        content = None
        if visit.body is not None:
            content = json.dumps(visit.body)
            headers["Content-Type"] = "application/json"
        self.connection.request(visit.method, visit.target, content, headers)
        answer = self.connection.getresponse()
        answer.read()
        given = answer.getheader("Set-Cookie")
        if given:
            self.cookie = given.partition(";")[0]
        return answer.status

    def leave(self) -> None:
        self.connection.close()


class Crowd:
    """Visitors in `threads` lines, together `rate` requests a second, until `ended` is set."""

    def __init__(self, balancer: Balancer, rate: float, seed: int, threads: int = 6) -> None:
        self.balancer = balancer
        self.interval = threads / rate
        self.seed = seed
        self.threads = threads
        self.ended = threading.Event()
        self.answers: Counter[str] = Counter()
        self._lock = threading.Lock()

    def run(self, seconds: float) -> Counter[str]:
        """Ask for `seconds` (0: until `ended` is set); answers counted by status."""
        lines = [
            threading.Thread(target=self._line, args=(number,), daemon=True)
            for number in range(self.threads)
        ]
        for line in lines:
            line.start()
        self.ended.wait(seconds or None)
        self.ended.set()
        for line in lines:
            line.join()
        return self.answers

    def _line(self, number: int) -> None:
        draw = random.Random(f"{self.seed}/{number}")
        due = time.monotonic() + self.interval * number / self.threads
        while not self.ended.is_set():
            url = self.balancer.choose(draw)
            if url is None:
                self.ended.wait(0.1)
                continue
            visitor = Visitor(url)
            for visit in session(draw):
                if self.ended.wait(max(0.0, due - time.monotonic())):
                    break
                due = max(due + self.interval, time.monotonic() - 1)
                if not self._ask(visitor, visit):
                    break
            visitor.leave()

    def _ask(self, visitor: Visitor, visit: Visit) -> bool:
        """Ask once; False where the instance is gone, which ends the session."""
        try:
            answer = str(visitor.ask(visit))
        except (OSError, http.client.HTTPException):
            answer = "unreachable"
        with self._lock:
            self.answers[answer] += 1
        return answer != "unreachable"


def main(arguments: list[str] | None = None) -> int:
    """Run the traffic until its time is over, or SIGTERM or SIGINT ends it."""
    parser = argparse.ArgumentParser(prog="python -m selfheal.demo.traffic")
    parser.add_argument("--routing", type=Path, required=True, help="the fleet's routing.json")
    parser.add_argument("--seconds", type=float, default=0, help="0 runs until it is stopped")
    parser.add_argument("--rate", type=float, default=60, help="requests a second")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    crowd = Crowd(Balancer(options.routing), options.rate, options.seed)
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: crowd.ended.set())
    print(json.dumps(dict(sorted(crowd.run(options.seconds).items()))), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
