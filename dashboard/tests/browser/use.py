"""Uses a running dashboard as a person does: gives it a video and watches its first clip while others are made, which it goes on
playing when they come; then is cut off, comes back, and misses nothing. Ends with 1 when something does not come true.

    use.py URL VIDEO
"""

import base64
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright
from visit import JSON, break_off, follow, launch, wait_until

LIMIT_MS = 150_000
# As short as is admitted, and so large that it takes a while to make the next one.
THREE = {"clips": "3", "min_clip_s": "3", "max_clip_s": "4", "height": "1920"}


def drop(page, video):
    """Drops a file on the page as the browser would."""
    script = """([name, text]) => {
        const dropped = new DataTransfer();
        dropped.items.add(new File([Uint8Array.from(atob(text), one => one.charCodeAt(0))], name, { type: "video/mp4" }));
        return dropped;
    }"""
    dropped = page.evaluate_handle(script, [Path(video).name, base64.b64encode(Path(video).read_bytes()).decode()])
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": dropped})


def one_by_one(page, base):
    """Lets clips be made one after another."""
    page.goto(base + "/autoscaler/pin?stage=cut&fixed=1")
    page.get_by_role("button", name="Pin cut").click()
    slots = lambda: [one["slots"] for one in page.request.get(base + "/workers?stage=cut", headers=JSON).json()["now"]["workers"]]
    wait_until(page, "one slot cuts", lambda: sum(slots()) == 1, LIMIT_MS)


def submit_and_watch(page, base, video):
    """The first clip plays while the next one is made, and goes on when that comes."""
    page.goto(base + "/new")
    drop(page, video)
    for option, value in THREE.items():
        page.fill(f"#option-{option}", value)
    page.click("#send")
    page.wait_for_url("**/videos/*/*", timeout=LIMIT_MS)
    clip = page.wait_for_selector("video", timeout=LIMIT_MS)
    # Muted, because a browser without a person plays nothing that can be heard; again and again, because it is short.
    clip.evaluate("async element => { element.muted = true; element.loop = true; await element.play(); }")
    plays = lambda: clip.evaluate("element => element.isConnected && !element.paused && element.currentTime")
    stands = lambda: clip.evaluate(
        "one => `connected ${one.isConnected}, paused ${one.paused}, at ${one.currentTime} s of ${one.duration}, error ${one.error?.message}`"
    )
    wait_until(page, "the clip plays", lambda: (plays() or 0) > 0.3, LIMIT_MS)
    state = page.locator("#video-now .state").first
    if state.inner_text() != "processing":
        raise AssertionError(f"the first clip plays when the video is {state.inner_text()}")
    expect(page.locator("video").nth(1)).to_be_attached(timeout=LIMIT_MS)
    at = plays()
    if at is False:
        raise AssertionError("the clip stopped when another one came: " + stands())
    wait_until(page, "the clip plays on", lambda: plays() != at, LIMIT_MS)
    expect(state).to_have_text("done", timeout=LIMIT_MS)
    if plays() is False:
        raise AssertionError("the clip stopped when the video was done: " + stands())


def lose_the_video(page, base):
    """A page whose video is deleted meanwhile says so."""
    page.request.delete(base + "/v1/videos/" + page.url.split("?")[0].rsplit("/", 1)[1])
    expect(page.locator("#trouble")).to_contain_text("may have been deleted", timeout=LIMIT_MS)
    expect(page.locator("#chip")).to_have_text("stale")


def pause_and_go_on(page, base):
    page.goto(base + "/")
    chip = page.locator("#chip")
    expect(chip).to_have_text("live", timeout=LIMIT_MS)
    chip.focus()
    page.keyboard.press("Enter")
    expect(chip).to_have_text("paused")
    # All of it comes anew, is not shown, and would not come again by itself.
    number = page.locator("#bar-numbers dd").first
    number.evaluate("one => one.textContent = 'old'")
    break_off(page)
    wait_until(page, "the page notices that the stream broke off", lambda: page.evaluate("Boolean(dropped)"), LIMIT_MS)
    expect(number).to_have_text("old")
    page.keyboard.press("Enter")
    expect(chip).to_have_text("live", timeout=LIMIT_MS)
    expect(number).not_to_have_text("old", timeout=LIMIT_MS)


def be_cut_off(browser, page, base):
    """A page that hears nothing more says so within a few seconds more than ten, and does not show old numbers as new. Once it is
    back it has every point that was missed, each once and in order, as a page has that was there all the time."""
    page.goto(base + "/")
    watching = browser.new_page()
    watching.goto(base + "/")
    for one in (page, watching):
        follow(one)
        expect(one.locator("#chip")).to_have_text("live", timeout=LIMIT_MS)
    drawn = lambda one: one.evaluate("plots.find(one => one.plot.lines.some(line => line.from)).plot.x")
    # What is on its way comes even then: the stream is broken off by hand, and cannot be asked for again.
    page.context.set_offline(True)
    break_off(page)
    expect(page.locator("#chip")).to_contain_text("stale", timeout=16_000)
    behind = drawn(page)[-1]
    missed = [x for x in drawn(watching) if x > behind]
    if len(missed) < 3:
        raise AssertionError(f"only {len(missed)} points came while the page was cut off")
    page.context.set_offline(False)
    expect(page.locator("#chip")).to_have_text("live", timeout=LIMIT_MS)
    wait_until(page, "what was missed comes", lambda: drawn(page)[-1] > missed[-1], LIMIT_MS)
    seen, whole = drawn(page), drawn(watching)
    first, last = max(seen[0], whole[0]), min(seen[-1], whole[-1])
    seen, whole = [[x for x in points if first <= x <= last] for points in (seen, whole)]
    if seen != whole:
        raise AssertionError(f"the page that was cut off has {seen}, the other {whole}")
    watching.close()


def main():
    base, video = sys.argv[1:3]
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        failures = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        one_by_one(page, base)
        submit_and_watch(page, base, video)
        lose_the_video(page, base)
        pause_and_go_on(page, base)
        be_cut_off(browser, page, base)
        browser.close()
    if failures:
        sys.exit(f"scripts failed: {failures}")
    print("used: a clip played while others came, the stream paused and went on, silence shows, and leaves no gap")


if __name__ == "__main__":
    main()
