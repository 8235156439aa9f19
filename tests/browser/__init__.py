"""The page, in a real browser: headless Chromium, on the real processes.

`browser` drives Chromium, `imagined` is a feed of hosts that there are not, for what no stand-in of one host can show,
and `python -m tests.browser.screenshots DIRECTORY` takes a picture of each state of the page.
"""
