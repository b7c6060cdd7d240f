"""A page as Chromium shows it: an installed one, or else that in the package kaleido, which needs nothing else."""

import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH = 1200
# Nothing outside of the page may be reached.
ALONE = ("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-gpu", f"--window-size={WIDTH},900")
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
    engine: navigator.userAgent,
  };
  document.body.setAttribute('data-found', JSON.stringify(found));
});</script>"""
FRAME = """window.Plotly = {version: '2.0.0', toImage: (figure) => new Promise((done) => {
  const frame = document.createElement('iframe');
  frame.style.cssText = `width:${figure.layout.width}px;height:900px;border:0`;
  frame.onload = async () => {
    const page = frame.contentDocument, size = [figure.layout.width, page.documentElement.scrollHeight];
    const found = page.body.getAttribute('data-found'), picture = new Image();
    picture.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${size[0]}" height="${size[1]}">` +
      '<rect width="100%" height="100%" fill="white"/><foreignObject width="100%" height="100%">' +
      new XMLSerializer().serializeToString(page.documentElement) + '</foreignObject></svg>');
    const canvas = Object.assign(document.createElement('canvas'), {width: size[0], height: size[1]});
    await picture.decode();
    canvas.getContext('2d').drawImage(picture, 0, 0);
    done(JSON.stringify({found, shot: canvas.toDataURL()}));
  };
  frame.src = figure.layout.page;
  document.body.appendChild(frame);
})};"""
"""In place of the library that kaleido's Chromium opens to draw with: shows a page, and draws what it shows."""


class Installed:
    """The Chromium on this machine."""

    def __init__(self):
        self.path = next((path for name in NAMES if (path := shutil.which(name))), None)
        if self.path is None:
            raise OSError("no Chromium is installed")

    def look(self, page, folder):
        """({what it finds in the page: pictures, tables, requests, layout}, a file with a picture of it)."""
        probed, shot = with_probe(page, folder), folder / "page.png"
        dom = self._run(["--dump-dom", probed.as_uri()], folder)
        found = json.loads(unescape(re.search(r'data-found="([^"]*)"', dom)[1]))
        options = [f"--screenshot={shot}", f"--window-size={WIDTH},{found['height']}"]
        self._run([*options, page.as_uri()], folder)
        return found, shot

    def _run(self, options, folder):
        fixed = ["--headless", "--hide-scrollbars", "--no-first-run", f"--user-data-dir={folder / 'profile'}"]
        fixed += ["--no-sandbox"] if os.geteuid() == 0 else []  # root may not use it
        command = [self.path, *ALONE, *fixed, *options]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


class Packaged:
    """The Chromium in kaleido 0.2.1, libraries and fonts beside it."""

    def __init__(self):
        spec = importlib.util.find_spec("kaleido")
        self.home = Path(spec.origin).parent / "executable" if spec else Path()
        if sys.platform != "linux" or not (self.home / "bin/kaleido").is_file():
            raise OSError("no kaleido 0.2.1 for Linux is installed")

    def look(self, page, folder):
        """As of Installed."""
        probed, shot, frame = with_probe(page, folder), folder / "page.png", folder / "frame.js"
        frame.write_text(FRAME, encoding="utf-8")
        layout = {"page": probed.as_uri(), "width": WIDTH}
        asked = {"format": "json", "width": WIDTH, "height": 900, "scale": 1, "data": {"layout": layout}}
        lines = self._run([f"--plotlyjs='{frame.as_uri()}'"], json.dumps(asked)).splitlines()
        told = json.loads(json.loads(lines[-1])["result"])
        shot.write_bytes(base64.b64decode(told["shot"].split(",")[1]))
        return json.loads(told["found"]), shot

    def _run(self, options, text):
        fixed = ["--no-sandbox", "--allow-file-access-from-files", "--disable-dev-shm-usage"]
        command = [self.home / "bin/kaleido", "plotly", *options, *ALONE, *fixed, "--disable-breakpad"]
        places = {"LD_LIBRARY_PATH": "lib", "FONTCONFIG_PATH": "etc/fonts", "XDG_DATA_HOME": "xdg"}
        env = {**os.environ, **{name: str(self.home / place) for name, place in places.items()}}
        options = {"cwd": self.home, "env": env, "capture_output": True, "check": True, "timeout": 120}
        return subprocess.run(command, input=text + "\n", text=True, **options).stdout


def with_probe(page, folder):
    """A copy of the page that says what it is like."""
    copy = folder / "probe.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    return copy


def first_that_works(folder):
    """The first of them that shows a plain page; skips the test, saying why, where neither does."""
    page, reasons = folder / "plain.html", []
    page.write_text("<!DOCTYPE html><html><body><p>text</p></body></html>", encoding="utf-8")
    for kind in (Installed, Packaged):
        try:
            browser = kind()
            if browser.look(page, folder)[0]["mode"] == "CSS1Compat":
                return browser
        except (OSError, subprocess.SubprocessError, ValueError, TypeError, LookupError) as error:
            reasons.append(f"{kind.__name__}: {error}")
    return pytest.skip(f"no Chromium starts here ({'; '.join(reasons)})")
