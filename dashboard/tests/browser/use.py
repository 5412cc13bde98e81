"""Uses a running dashboard as a person does: gives it a video and watches until a clip plays while the page stays open; then is cut
off, comes back, and misses nothing. Ends with 1 when something does not come true.

    use.py URL VIDEO
"""

import sys
import time

from playwright.sync_api import expect, sync_playwright

LIMIT_MS = 150_000
# Short and small, so that it is soon done.
CHEAP = {"clips": "1", "min_clip_s": "3", "max_clip_s": "4", "height": "320"}


def submit_and_watch(page, base, video):
    page.goto(base + "/new")
    page.set_input_files("input[type=file]", video)
    for option, value in CHEAP.items():
        page.fill(f"#option-{option}", value)
    page.click("#send")
    page.wait_for_url("**/videos/*/*", timeout=LIMIT_MS)
    page.wait_for_selector("video", timeout=LIMIT_MS)
    clip = page.locator("video").first
    # Muted, because a browser without a person plays nothing that can be heard.
    clip.evaluate("async element => { element.muted = true; await element.play(); }")
    begun = time.monotonic()
    while clip.evaluate("element => element.currentTime") < 0.3:
        if time.monotonic() - begun > LIMIT_MS / 1000:
            raise TimeoutError("the clip does not play")
        page.wait_for_timeout(100)
    expect(page.locator("main")).to_contain_text("done", timeout=LIMIT_MS)


def pause_and_go_on(page, base):
    page.goto(base + "/")
    chip = page.locator("#chip")
    expect(chip).to_have_text("live", timeout=LIMIT_MS)
    chip.focus()
    page.keyboard.press("Enter")
    expect(chip).to_have_text("paused")
    page.keyboard.press("Enter")
    expect(chip).to_have_text("live", timeout=LIMIT_MS)


def grow_stale(page, base):
    """A page that hears nothing more says so within a few seconds more than ten, and does not show old numbers as new."""
    page.goto(base + "/")
    expect(page.locator("#chip")).to_have_text("live", timeout=LIMIT_MS)
    page.evaluate("document.getElementById('stream').remove()")
    expect(page.locator("#chip")).to_contain_text("stale", timeout=16_000)


def main():
    base, video = sys.argv[1:3]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        failures = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        submit_and_watch(page, base, video)
        pause_and_go_on(page, base)
        grow_stale(page, base)
        browser.close()
    if failures:
        sys.exit(f"scripts failed: {failures}")
    print("used: a clip played, the stream paused and went on, and silence shows")


if __name__ == "__main__":
    main()
