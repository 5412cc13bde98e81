"""Does to a running dashboard what operators do, and looks at what they see afterwards. Ends with 1 when something does not come true.

    operate.py URL VIDEO_URL --held ID --ended ID --failed ID ID ID ID ID

VIDEO_URL can be fetched. One video is being fetched, one is done, and five could not be fetched when they were submitted, and can
be now.
"""

import argparse
import re

from playwright.sync_api import expect, sync_playwright
from visit import JSON, Visit, launch

LIMIT_MS = 150_000
# Short and small, so that it is soon done.
CHEAP = {"clips": "1", "min_clip_s": "3", "max_clip_s": "4", "height": "320"}


class Operator:
    """Somebody with a browser."""

    def __init__(self, base, page, visit):
        self.base, self.page, self.visit = base, page, visit

    def go(self, path):
        self.page.goto(self.base + path)

    def press(self, role, name):
        self.page.get_by_role(role, name=name, exact=True).click(timeout=LIMIT_MS)

    def sees(self, text, where="main"):
        expect(self.page.locator(where)).to_contain_text(text, timeout=LIMIT_MS)

    def is_told(self, text):
        self.sees(text, "p.done")

    def state_is(self, *states):
        expect(self.page.locator("#video-now .state").first).to_have_text(re.compile("|".join(states)), timeout=LIMIT_MS)

    def cancel(self, video):
        """Work in hand is stopped, after it was asked."""
        self.go(f"/videos/default/{video}")
        self.state_is("processing", "queued")
        self.press("link", "Cancel it")
        self.sees("cannot be gone on with")
        self.press("link", "Keep it as it is")
        self.state_is("processing", "queued")
        self.press("link", "Cancel it")
        self.press("button", "Cancel the video")
        self.is_told("The video is cancelled.")
        self.page.reload()
        expect(self.page.locator("p.done")).to_have_count(0)
        self.state_is("cancelled")
        expect(self.page.get_by_role("link", name="Cancel it")).to_have_count(0, timeout=LIMIT_MS)

    def delete(self, video):
        """What has ended cannot be cancelled, and is gone once it is deleted."""
        self.go(f"/videos/default/{video}")
        expect(self.page.get_by_role("link", name="Cancel it")).to_have_count(0)
        self.go(f"/videos/default/{video}/cancel")
        self.press("button", "Cancel the video")
        self.is_told("had ended before; nothing was cancelled")
        self.state_is("done")
        self.press("link", "Delete it")
        self.press("button", "Delete the video")
        self.is_told("The video was deleted.")
        self.page.get_by_label("Id of a video").fill(video)
        self.press("button", "Find")
        self.sees("No video fits.")

    def replay(self, *letters):
        """Letters are ticked in the list; their units are worked on again."""
        self.go("/letters")
        for letter in letters:
            self.page.get_by_label(f"Choose {letter['id']}").check()
        self.press("button", "Replay what is chosen")
        for letter in letters:
            self.sees(letter["id"])
        self.press("button", f"Replay {len(letters)}")
        self.is_told(f"{len(letters)} dead letters: {len(letters)} sent to work again.")
        self.visit.inspect("what became of letters", self.page)
        for letter in letters:
            self.go(f"/letters/{letter['id']}")
            self.sees("replayed", "dl.facts")

    def replay_all(self, letter):
        """All letters of one kind are replayed at once, of which one is left."""
        self.go("/letters")
        self.press("link", f"Replay all 1 of {letter['stage']} {letter['code']}")
        self.sees(letter["id"])
        self.press("button", "Replay 1")
        self.is_told("1 dead letter: 1 sent to work again.")
        self.go("/letters")
        expect(self.page.get_by_role("link", name=re.compile(f"of {letter['stage']} {letter['code']}$"))).to_have_count(0)

    def forget(self, letter):
        """A video that was worked on again needs not be finished for this."""
        self.page.request.delete(f"{self.base}/v1/videos/{letter['video']}")

    def discard(self, letter):
        """One letter is discarded from its own page, after it was asked; its video stays as it ended."""
        self.go(f"/letters/{letter['id']}")
        self.press("link", "Discard it")
        self.sees("This cannot be taken back.")
        self.press("link", "Leave all as it is")
        expect(self.page.get_by_label(f"Choose {letter['id']}")).to_be_visible()
        self.go(f"/letters/{letter['id']}")
        self.press("link", "Discard it")
        self.press("button", "Discard 1")
        self.is_told("1 dead letter: 1 discarded.")
        self.press("link", "All dead letters")
        expect(self.page.get_by_label(f"Choose {letter['id']}")).to_have_count(0)
        self.go(f"/videos/default/{letter['video']}")
        self.state_is("failed")

    def retry(self, letter):
        """What a stage gave up of a video is tried again from its page."""
        self.go(f"/videos/default/{letter['video']}")
        self.state_is("failed")
        self.press("link", "Retry 1 unit that fetch gave up")
        self.press("button", "Replay 1")
        self.is_told("1 sent to work again.")

    def pin(self, stage):
        """A stage has as many slots as a person says, until it is released."""
        self.go(f"/autoscaler?stage={stage}")
        self.page.get_by_label("Or exactly").fill("2")
        self.press("button", f"Pin {stage}")
        self.sees(f"{stage} gets 2 workers, whatever waits")
        self.press("button", f"Pin {stage}")
        self.sees("Pinned to fixed:2.")
        row = self.page.locator("#scaled tr").filter(has=self.page.get_by_role("link", name=stage, exact=True))
        expect(row).to_contain_text("fixed:2", timeout=LIMIT_MS)
        # The target.
        expect(row.locator("td").nth(0)).to_have_text("2", timeout=LIMIT_MS)
        self.press("link", f"Release {stage}")
        self.press("button", f"Release {stage}")
        self.sees("The autoscaler decides freely")
        expect(row).to_contain_text("none", timeout=LIMIT_MS)

    def drain(self, stage):
        """A worker ends once it is told to, and another takes its place."""
        self.go(f"/workers?stage={stage}")
        worker = self.page.locator("#now tbody th code").first
        drained = worker.get_attribute("title")
        self.press("link", re.compile("^Drain"))
        self.sees(drained)
        self.press("button", "Drain it")
        self.is_told("The worker was told to finish what it has in hand and to end.")
        other = self.page.locator("#now tbody tr").filter(has_not=self.page.locator(f"code[title='{drained}']"))
        expect(other.locator(".state.ready").first).to_be_visible(timeout=LIMIT_MS)

    def submit(self, url):
        """A URL is submitted; the page that follows it shows the first clip."""
        self.go("/new")
        self.page.get_by_label("Where it can be fetched").fill(url)
        for option, value in CHEAP.items():
            self.page.fill(f"#option-{option}", value)
        self.sees("spillway submit --clips 1", "#command")
        self.page.click("#send")
        self.is_told("Accepted.")
        self.sees(url, "#video-now")

    def is_done(self, video):
        self.go(f"/videos/default/{video}")
        self.state_is("done")
        expect(self.page.locator("#video-clips video").first).to_be_visible()
        self.sees_the_frame()

    def sees_the_frame(self):
        """The crop is drawn on a picture of the source, which comes when it is scrolled to."""
        frame = self.page.locator(".crop img").first
        frame.scroll_into_view_if_needed()
        width = frame.evaluate("async image => { await image.decode(); return image.naturalWidth; }")
        if width <= 0:
            raise AssertionError("the frame below the crop is not there")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("url")
    parser.add_argument("--held", required=True)
    parser.add_argument("--ended", required=True)
    parser.add_argument("--failed", nargs=5, required=True)
    args = parser.parse_args()
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        failures = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        operator = Operator(args.base, page, Visit(args.base, browser, failures))
        letters = page.request.get(args.base + "/letters", headers=JSON).json()["letters"]
        letters = [next(one for one in letters if one["video"] == video) for video in args.failed]
        replayed, ticked, discarded, retried, left = letters
        # What takes a while goes on while other things are done.
        operator.replay(replayed, ticked)
        operator.forget(ticked)
        operator.retry(retried)
        operator.submit(args.url)
        submitted = page.url.split("?")[0].rsplit("/", 1)[1]
        operator.discard(discarded)
        operator.replay_all(left)
        operator.forget(left)
        operator.cancel(args.held)
        operator.delete(args.ended)
        operator.pin("split")
        operator.drain("moments")
        for video in (replayed["video"], retried["video"], submitted):
            operator.is_done(video)
        browser.close()
    if failures:
        raise SystemExit(f"this is wrong: {failures}")
    print("operated: cancelled, deleted, replayed, retried, discarded, pinned, released, drained, submitted")


if __name__ == "__main__":
    main()
