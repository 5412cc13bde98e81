"""Goes through the doors of a running dashboard that asks for keys: by keyboard, as who may only look and as who may change things.
Says what is wrong and ends with 1 if anything is.

    doors.py URL OPERATOR_KEY READER_KEY
"""

import sys

from playwright.sync_api import expect, sync_playwright
from visit import ALL_LOOKS, TWO_LOOKS, Visit, break_off, follow, launch

LIMIT_MS = 30_000
# What changes something, other than leaving.
CHANGES = "main form[method=post]:visible, main button[formmethod=post]:visible"


def log_in(visit, key):
    """Logs in by keyboard after a wrong key, and keeps what the browser remembers."""
    page = visit.browser.new_page()
    page.goto(visit.base + "/workers")
    for typed in ("a key that nobody has", key):
        page.keyboard.press("Tab")
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
        if typed != key:
            expect(page.get_by_role("alert")).to_be_visible(timeout=LIMIT_MS)
            visit.inspect("/login after a wrong key", page)
    expect(page.get_by_role("button", name="Log out")).to_be_visible(timeout=LIMIT_MS)
    visit.session = page.context.storage_state()
    page.close()


def give(page, key):
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")


def follow_a_link(visit, key):
    """A scenario that somebody sent on is still there behind the door, also for who comes from another site."""
    page = visit.browser.new_page()
    page.goto(visit.base + "/capacity?users=5")
    give(page, key)
    expect(page.locator("input[name=users]")).to_have_value("5", timeout=LIMIT_MS)
    page.goto("data:text/html,<a href='" + visit.base + "/capacity?users=6'>look</a>")
    page.get_by_text("look").click()
    expect(page.locator("input[name=users]")).to_have_value("6", timeout=LIMIT_MS)
    page.close()


def lose_the_session(visit, key):
    """A page whose session is over says so, and the door leads back to it."""
    page = visit.browser.new_page()
    page.goto(visit.base + "/workers?stage=cut")
    give(page, key)
    follow(page)
    expect(page.locator("#chip")).to_have_text("live", timeout=LIMIT_MS)
    # As after twelve hours.
    page.context.clear_cookies()
    break_off(page)
    page.get_by_role("link", name="Log in again").click(timeout=LIMIT_MS)
    give(page, key)
    page.wait_for_url("**/workers?stage=cut", timeout=LIMIT_MS)
    page.close()


def look_around(visit, role):
    visit.look("/workers", TWO_LOOKS)
    _, context, page = visit.open("/new", "light", 1280)
    expect(page.locator("header .role")).to_have_text(role, timeout=LIMIT_MS)
    changes = page.locator(CHANGES).count()
    if (changes > 0) != (role == "operator"):
        visit.fault("/new", f"offers {changes} changes to a {role}")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Key", exact=True)).to_be_visible(timeout=LIMIT_MS)
    context.close()


def main():
    base, operator, reader = sys.argv[1:4]
    faults = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        visit = Visit(base, browser, faults)
        for scheme, width in ALL_LOOKS:
            where, context, page = visit.open("/login", scheme, width)
            visit.inspect(where, page)
            context.close()
        follow_a_link(visit, reader)
        lose_the_session(visit, reader)
        for role, key in (("operator", operator), ("reader", reader)):
            log_in(visit, key)
            look_around(visit, role)
        browser.close()
    print(f"doors: {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
