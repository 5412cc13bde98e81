"""Visits every page of a running dashboard in a real Chromium, as it is for people: light and dark, wide and narrow, with and
without scripts, by keyboard. Says what is wrong and ends with 1 if anything is.

    visit.py URL STATE [--pictures FOLDER] [--video TENANT/ID] [--thorough]

STATE names what the dashboard shows now (empty, busy, failing); it is part of the pictures' names. With pictures, or thorough, each
page is looked at in light and dark, wide and narrow; else in two of the four.
"""

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

PAGES = ["/", "/new", "/videos", "/queues", "/queues/analyze", "/letters", "/workers", "/autoscaler", "/capacity", "/loadtests", "/cost"]
# Every look, and those that are enough where another state has every one of them.
ALL_LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 375)]
TWO_LOOKS = [("light", 1280), ("dark", 375)]
MOST_BYTES = 150_000
READY_MS = 30_000


class Visit:
    """One look at one page, and what was wrong with it."""

    def __init__(self, base, browser, faults):
        self.base, self.browser, self.faults = base, browser, faults

    def fault(self, where, what):
        self.faults.append(f"{where}: {what}")
        print(f"WRONG {where}: {what}", flush=True)

    def open(self, path, scheme, width, scripts=True, before=lambda page: None):
        """Opens a page; notes errors of scripts and requests to anybody else. `before` sees it before anything comes."""
        where = f"{path} {scheme} {width}{'' if scripts else ' without scripts'}"
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts, timezone_id="Asia/Kolkata"
        )
        page = context.new_page()
        host = urlsplit(self.base).netloc
        page.on("pageerror", lambda error: self.fault(where, f"a script failed: {error}"))
        page.on("console", lambda said: said.type == "error" and self.fault(where, f"the console says: {said.text}"))
        page.on("dialog", lambda dialog: (self.fault(where, f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda asked: self.check_host(where, asked.url, host))
        before(page)
        answer = page.goto(self.base + path)
        if answer.status != 200:
            self.fault(where, f"status {answer.status}")
        return where, context, page

    def check_host(self, where, url, host):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.netloc != host:
            self.fault(where, f"asks another host: {url}")

    def look(self, path, scheme, width, picture):
        where, context, page = self.open(path, scheme, width)
        page.wait_for_selector("body[data-scripts]", timeout=READY_MS)
        expect(page.locator("#chip")).to_have_text("live", timeout=READY_MS)
        for one in Axe().run(page).response["violations"]:
            self.fault(where, f"axe: {one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self.fault(where, f"{wide} pixels wider than the window")
        if picture:
            page.screenshot(path=picture, full_page=True)
        context.close()

    def weigh(self, path):
        """Sums what comes over the wire for a first visit."""
        bytes_of = []

        def count(page):
            session = page.context.new_cdp_session(page)
            session.send("Network.enable")
            session.on("Network.loadingFinished", lambda event: bytes_of.append(event["encodedDataLength"]))

        where, context, page = self.open(path, "light", 1280, before=count)
        page.wait_for_selector("body[data-scripts]", timeout=READY_MS)
        weight = sum(bytes_of)
        if weight == 0 or weight > MOST_BYTES:
            self.fault(where, f"weighs {weight:.0f} bytes")
        context.close()
        return weight

    def read_without_scripts(self, path):
        where, context, page = self.open(path, "light", 1280, scripts=False)
        if page.locator("main h1").count() != 1 or not page.locator("#bar-numbers").is_visible():
            self.fault(where, "no heading or no bar")
        if page.locator("main").inner_text().strip() == "":
            self.fault(where, "nothing to read")
        context.close()

    def walk_by_keyboard(self, path):
        """Follows the tabulator through the page: it starts with the way to the content and reaches everything that acts."""
        where, context, page = self.open(path, "light", 1280)
        page.wait_for_selector("body[data-scripts]", timeout=READY_MS)
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") != "skip":
            self.fault(where, "the first stop is not the way to the content")
        script = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
            .filter(e => e.checkVisibility() && !e.disabled && e.type !== 'hidden' && !(e.type === 'radio' && !e.checked)).length"""
        wanted, stops = page.evaluate(script), 0
        for _ in range(min(wanted, 120) + 5):
            stops += 1
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            if outline == "none" and page.evaluate("document.activeElement !== document.body"):
                self.fault(where, "a stop that cannot be seen: " + page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
                break
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement === document.body || document.activeElement.className === 'skip'"):
                break
        if stops < min(wanted, 120):
            self.fault(where, f"{stops} stops for {wanted} things that act")
        context.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("state")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--video", action="append", default=[])
    parser.add_argument("--thorough", action="store_true", help="in every look, without scripts and by keyboard too")
    args = parser.parse_args()
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    pages = PAGES + [f"/videos/{video}" for video in args.video]
    faults = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        visit = Visit(args.base, browser, faults)
        for path in pages:
            for scheme, width in ALL_LOOKS if args.thorough or args.pictures else TWO_LOOKS:
                name = (path.strip("/").split("/")[0] or "overview") + ("-one" if path.count("/") > 1 else "")
                picture = args.pictures and args.pictures / f"{args.state}-{name}-{scheme}-{width}.png"
                visit.look(path, scheme, width, picture)
            print(f"{args.state} {path}: {visit.weigh(path):.0f} bytes", flush=True)
            if args.thorough:
                visit.read_without_scripts(path)
                visit.walk_by_keyboard(path)
        browser.close()
    print(f"{args.state}: {len(pages)} pages, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
