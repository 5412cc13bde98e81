"""Visits every page of a running dashboard in a real Chromium, as it is for people: light and dark, wide and narrow, with and
without scripts, by keyboard. Says what is wrong and ends with 1 if anything is.

    visit.py URL STATE [--pictures FOLDER] [--video TENANT/ID].. [--thorough]

STATE names what the dashboard shows now (empty, busy, failing); it is part of the pictures' names. Pages whose content depends on
it are looked at in light and dark, wide and narrow; the others in two of the four, but for a thorough visit.
"""

import argparse
import datetime
import re
import sys
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

PAGES = ["/", "/new", "/videos", "/queues", "/queues/analyze", "/letters", "/workers", "/autoscaler", "/capacity", "/loadtests", "/cost"]
# Every look, and those that are enough where another state has every one of them.
ALL_LOOKS = [("light", 1280), ("dark", 1280), ("dark", 375), ("light", 375)]
TWO_LOOKS = [("light", 1280), ("dark", 375)]
MOST_BYTES = 150_000
READY_MS = 30_000
# Where the viewer is: there is no other zone with half an hour in it to take for UTC.
ZONE, AHEAD = "Asia/Kolkata", datetime.timedelta(hours=5, minutes=30)
JSON = {"Accept": "application/json"}
# A scenario that is simulated within seconds, and what its page has once it is.
SCENARIO = "/capacity?users=5&videos=20&seeds=1&lengths=60s"
ANSWERED = "#answer-head"
# What is refused, to people: in the field where it was given, or on a page that leads back.
REFUSED = ["/capacity?users=99999999", "/videos?id=xyz", "/autoscaler?wait=0"]


def launch(playwright):
    """Starts the browser that the distribution has."""
    return playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])


def wait_until(page, what, is_so, limit_ms):
    begun = time.monotonic()
    while not is_so():
        if time.monotonic() - begun > limit_ms / 1000:
            raise TimeoutError(f"this does not come true: {what}")
        page.wait_for_timeout(100)


def follow(page):
    """Returns once the page follows its stream: before its scripts have run it only looks as if it did."""
    expect(page.locator("#chip")).to_be_visible(timeout=READY_MS)
    wait_until(page, "the page follows its stream", lambda: page.evaluate("Boolean(document.querySelector('#stream')?._htmx?.sse?.reader)"), READY_MS)


def break_off(page):
    """Ends the stream of a page as a restart of the dashboard does; it is asked for again."""
    follow(page)
    page.evaluate("document.querySelector('#stream')._htmx.sse.reader.cancel()")


class Visit:
    """One look at one page, and what was wrong with it."""

    def __init__(self, base, browser, faults, session=None):
        self.base, self.browser, self.faults, self.session = base, browser, faults, session

    def fault(self, where, what):
        self.faults.append(f"{where}: {what}")
        print(f"WRONG {where}: {what}", flush=True)

    def open(self, path, scheme, width, scripts=True, status=200, before=lambda page: None):
        """Opens a page; notes errors of scripts and requests to anybody else. `before` sees it before anything comes."""
        where = f"{path} {scheme} {width}{'' if scripts else ' without scripts'}"
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=scripts,
            timezone_id=ZONE,
            storage_state=self.session,
        )
        page = context.new_page()
        host = urlsplit(self.base).netloc
        page.on("pageerror", lambda error: self.fault(where, f"a script failed: {error}"))
        page.on("console", lambda said: said.type == "error" and status == 200 and self.fault(where, f"the console says: {said.text}"))
        page.on("dialog", lambda dialog: (self.fault(where, f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda asked: self.check_host(where, asked.url, host))
        before(page)
        answer = page.goto(self.base + path)
        if answer.status != status:
            self.fault(where, f"status {answer.status}")
        return where, context, page

    def check_host(self, where, url, host):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.netloc != host:
            self.fault(where, f"asks another host: {url}")

    def look(self, path, looks, picture=None, status=200):
        """Looks at a page as it comes, then in each further look with everything opened that can be; weighs it on the way."""
        weight = Weight()
        where, context, page = self.open(path, *looks[0], status=status, before=weight.begin)
        self.is_ready(path, page, status)
        bytes_seen = weight.end(page)
        if not 0 < bytes_seen <= MOST_BYTES:
            self.fault(where, f"weighs {bytes_seen:.0f} bytes")
        for scheme, width in looks:
            where = f"{path} {scheme} {width}"
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            if (scheme, width) != looks[0]:
                page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            self.inspect(where, page)
            if picture:
                page.screenshot(path=f"{picture}-{scheme}-{width}.png", full_page=True)
        self.tell_time(where, page)
        context.close()
        return bytes_seen

    def is_ready(self, path, page, status=200):
        """Waits until a page lives, and has all that it fetches by itself."""
        if status != 200:
            return
        page.wait_for_selector("body[data-scripts]", timeout=READY_MS)
        expect(page.locator("#chip")).to_have_text("live", timeout=READY_MS)
        if path == SCENARIO:
            expect(page.locator(ANSWERED)).to_be_visible(timeout=READY_MS)

    def inspect(self, where, page):
        """Looks for what some could not read or reach, and for what the window cuts off."""
        for one in Axe().run(page).response["violations"]:
            self.fault(where, f"axe: {one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self.fault(where, f"{wide} pixels wider than the window")

    def tell_time(self, where, page):
        """Every moment is told in the viewer's zone, with UTC on hover."""
        script = "[...document.querySelectorAll('time[datetime]')].map(one => [one.dateTime, one.textContent, one.title])"
        for at, told, title in page.evaluate(script):
            utc = datetime.datetime.fromisoformat(at.removesuffix("Z").removesuffix(" UTC"))
            if told != (utc + AHEAD).strftime("%Y-%m-%d %H:%M:%S") or not title.startswith(utc.strftime("%Y-%m-%d %H:%M:%S")):
                self.fault(where, f"the time {at} is told as {told!r}, on hover {title!r}")
        script = "typeof plots === 'undefined' ? [] : plots.filter(one => one.plot.is_time).map(({ chart }) => [chart.axes[0]._splits, chart.axes[0]._values])"
        for places, told in page.evaluate(script):
            day = None
            for at, label in zip(places or [], told or []):
                local = datetime.datetime.fromtimestamp(at, datetime.timezone.utc) + AHEAD
                time_of_day, day_told, *_ = [*label.split("\n"), None]
                expected = local.strftime("%H:%M:%S"[: len(time_of_day)]), None if day == local.date() else str(local.date())
                if (time_of_day, day_told) != expected:
                    self.fault(where, f"the place {at} of an axis is told as {label!r}")
                day = local.date()

    def swap(self, path, within):
        """Moments in a part that was brought anew are told likewise. Only what has changed is sent, and all of it to who comes anew."""
        where, context, page = self.open(path, "light", 1280)
        expect(page.locator(f"{within} time").first).to_have_attribute("title", re.compile(" UTC$"), timeout=READY_MS)
        count = page.locator(f"{within} time").count()
        page.evaluate(f"document.querySelectorAll('{within} time').forEach(one => one.textContent = 'old')")
        break_off(page)
        expect(page.locator(f"{within} time").filter(has_not_text="old")).to_have_count(count, timeout=READY_MS)
        self.tell_time(f"{where} after a swap", page)
        context.close()

    def wait_for_a_script(self, path):
        """A page follows its stream however late the script for that comes."""
        page = self.browser.new_page(storage_state=self.session)
        held = []
        page.route("**/sse.js", lambda route: held.append(route))
        page.goto(self.base + path, wait_until="commit")
        wait_until(page, "the scripts before it have run", lambda: held and page.evaluate("'htmx' in window"), READY_MS)
        # Whatever they do as soon as they can, they have done then.
        page.evaluate("new Promise(done => setTimeout(done))")
        held[0].continue_()
        follow(page)
        page.close()

    def read_without_scripts(self, path):
        where, context, page = self.open(path, "light", 1280, scripts=False)
        if page.locator("main h1").count() != 1 or not page.locator("#bar-numbers").is_visible():
            self.fault(where, "no heading or no bar")
        if page.locator("main").inner_text().strip() == "":
            self.fault(where, "nothing to read")
        context.close()

    def walk_by_keyboard(self, path, status=200):
        """Follows the tabulator through the page: it starts with the way to the content and reaches everything that acts."""
        where, context, page = self.open(path, "light", 1280, status=status)
        self.is_ready(path, page, status)
        # A page at the door has nothing before its content.
        is_whole = page.locator("body.door").count() == 0
        page.keyboard.press("Tab")
        if is_whole and page.evaluate("document.activeElement.className") != "skip":
            self.fault(where, "the first stop is not the way to the content")
        script = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
            .filter(e => e.checkVisibility() && !e.disabled && e.type !== 'hidden' && !(e.type === 'radio' && !e.checked)).length"""
        wanted, stops = page.evaluate(script), 0
        at = """() => { const one = document.activeElement, body = one === document.body;
            return [!body && getComputedStyle(one).outlineStyle === 'none', body || one.className === 'skip', one.outerHTML.slice(0, 120)]; }"""
        for _ in range(min(wanted, 120) + 5):
            stops += 1
            is_unseen, _, told = page.evaluate(at)
            if is_unseen:
                self.fault(where, f"a stop that cannot be seen: {told}")
                break
            page.keyboard.press("Tab")
            if page.evaluate(at)[1]:
                break
        # The page lives: what is there may have changed on the way.
        wanted = min(wanted, page.evaluate(script))
        if stops < min(wanted, 120):
            self.fault(where, f"{stops} stops for {wanted} things that act")
        context.close()


class Weight:
    """What comes over the wire for a first view: all of it but the stream of what changes, and pictures further down, which come
    when they are scrolled to."""

    def __init__(self):
        self.on_the_way, self.bytes = set(), 0

    def begin(self, page):
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self.asked)
        session.on("Network.loadingFinished", self.came)
        session.on("Network.loadingFailed", lambda event: self.on_the_way.discard(event["requestId"]))

    def asked(self, event):
        if urlsplit(event["request"]["url"]).path != "/live":
            self.on_the_way.add(event["requestId"])

    def came(self, event):
        self.on_the_way.discard(event["requestId"])
        self.bytes += event["encodedDataLength"]

    def end(self, page):
        # What is in the window is asked for once that was drawn.
        page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        begun = time.monotonic()
        while self.on_the_way and time.monotonic() - begun < READY_MS / 1000:
            page.wait_for_timeout(20)
        return self.bytes


def further_pages(visit):
    """Returns the pages that only what happened has: a letter, what is asked of one, runs of load tests, decisions, a worker
    that is asked to go, and a fault."""
    with visit.browser.new_context() as context:
        asked = lambda path: context.request.get(visit.base + path, headers=JSON).json()
        letter = asked("/letters")["letters"][0]["id"]
        runs = [run["name"] for run in asked("/loadtests")["runs"]]
        stage = next(change["stage"] for change in asked("/autoscaler/decisions?which=all")["changes"])
        worker = next(one["worker"] for one in asked("/workers")["now"]["workers"] if one["state"] == "ready")
    first, second = runs[:2]
    return [
        f"/letters/{letter}",
        f"/letters/confirm?action=replay&id={quote(letter)}",
        f"/autoscaler/pin?stage={stage}&fixed=2",
        "/autoscaler/decisions?which=all",
        f"/workers/drain?worker={quote(worker)}",
        f"/loadtests/{first}",
        f"/loadtests/compare?a={first}&b={second}",
        "/nothing",
    ]


def pages_of(video):
    """Returns the pages beside that of a video: what is asked before it is cancelled or deleted, its events, its units."""
    return [f"{video}/cancel", f"{video}/delete", f"{video}/events", f"{video}?stage=fetch"]


def picture_of(folder, state, path, used):
    """Names the pictures of a page: by its kind, and a number where there are several."""
    parts = urlsplit(path).path.strip("/").split("/")
    words = ("confirm", "pin", "decisions", "compare", "drain", "cancel", "delete", "events")
    kind = (parts[0] or "overview") + ("-" + (parts[-1] if parts[-1] in words else "one") if len(parts) > 1 else "")
    kind += "-units" if "stage=" in path and parts[0] == "videos" else "-answered" if path == SCENARIO else ""
    kind += "-refused" if path in REFUSED else ""
    used.append(kind)
    number = used.count(kind)
    return folder / f"{state}-{kind}{f'-{number}' if number > 1 else ''}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("state")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--video", action="append", default=[])
    parser.add_argument("--thorough", action="store_true", help="in every look, without scripts and by keyboard too, and what only happened")
    args = parser.parse_args()
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    videos = [f"/videos/{video}" for video in args.video]
    faults, used = [], []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        visit = Visit(args.base, browser, faults)
        further, by_keyboard = [], []
        if args.thorough:
            asked = pages_of(videos[0])
            further = [*further_pages(visit), SCENARIO, *asked, *REFUSED]
            by_keyboard = [SCENARIO, *asked, *REFUSED, next(path for path in further if path.startswith("/workers/drain"))]
        statuses = {"/nothing": 404, **dict.fromkeys(REFUSED, 422)}
        for path in PAGES + videos + further:
            looks = ALL_LOOKS if args.pictures or (args.thorough and path not in further) else TWO_LOOKS
            picture = args.pictures and picture_of(args.pictures, args.state, path, used)
            status = statuses.get(path, 200)
            weight = visit.look(path, looks, picture, status)
            print(f"{args.state} {path}: {weight:.0f} bytes", flush=True)
            if args.thorough and path not in further:
                visit.read_without_scripts(path)
            if args.thorough and (path not in further or path in by_keyboard):
                visit.walk_by_keyboard(path, status)
        if args.thorough:
            visit.swap("/letters", "#now")
            visit.wait_for_a_script("/letters")
        browser.close()
    print(f"{args.state}: {len(PAGES + videos + further)} pages, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
