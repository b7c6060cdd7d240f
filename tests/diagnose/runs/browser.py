"""A page as a browser shows it."""

import json
import os
import re
import shutil
import subprocess
from html import unescape

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROBE = """<script>addEventListener('load', () => {
  const all = (what) => [...document.querySelectorAll(what)];
  const found = {
    pictures: all('img').map((i) => [i.complete, i.naturalWidth, i.getBoundingClientRect().width]),
    tables: all('table').map((t) => t.rows.length),
    lengths: all('table').map((t) => [...new Set([...t.rows].map((r) => r.cells.length))]),
    fetched: performance.getEntriesByType('resource').map((e) => e.name).filter((n) => !n.startsWith('data:')),
    wide: document.documentElement.scrollWidth > innerWidth,
    height: document.documentElement.scrollHeight,
    mode: document.compatMode,
  };
  document.body.setAttribute('data-found', JSON.stringify(found));
});</script>"""


def browser():
    """The path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def looked_at(page, folder):
    """What a browser finds in the page: pictures, tables, requests, layout."""
    copy = folder / "probe.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    dom = _run(["--dump-dom", copy.as_uri()], folder).stdout
    return json.loads(unescape(re.search(r'data-found="([^"]*)"', dom)[1]))


def screenshot(page, folder, height):
    """The page as a picture 1200 wide."""
    shot = folder / "page.png"
    _run([f"--screenshot={shot}", f"--window-size=1200,{height}", page.as_uri()], folder)
    return shot


def _run(options, folder):
    # Root may not use the sandbox; and nothing outside of the page may be reached.
    fixed = ["--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"]
    fixed += ["--no-sandbox"] if os.geteuid() == 0 else []
    fixed += ["--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,900"]
    return subprocess.run(
        [browser(), *fixed, *options], capture_output=True, text=True, check=True, timeout=120
    )
