"""A page as a real browser shows it: headless Chromium, where there is one."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from cluster import SLOWDOWN

#: What it is called on Debian and elsewhere.
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
#: Runs at the end of a copy of the page, when everything is drawn, and writes down what there is: of a canvas, how many
#: of its pixels have which colour.
PROBE = """
<script>
addEventListener("load", () => {
  const all = (selector, scope = document) => [...scope.querySelectorAll(selector)];
  const colours = canvas => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const count = {};
    for (let i = 0; i < data.length; i += 4)
      if (data[i + 3] === 255) {
        const name = "#" + [...data.slice(i, i + 3)].map(part => part.toString(16).padStart(2, "0")).join("");
        count[name] = (count[name] ?? 0) + 1;
      }
    return count;
  };
  // The mouse goes to the middle of each Gantt's first row.
  for (const over of all(".gantt .u-over")) {
    const {left, top, width} = over.getBoundingClientRect();
    for (const type of ["mouseenter", "mousemove"])
      over.dispatchEvent(new MouseEvent(type, {clientX: left + width / 2, clientY: top + 9, movementX: 1}));
  }
  const seen = {
    title: document.title,
    charts: all(".charts section").map(box => ({title: box.querySelector("h2").textContent,
                                                drawn: colours(box.querySelector("canvas"))})),
    gantts: all(".gantt canvas").map(colours),
    said: all(".said").map(place => place.textContent),
    tables: all(".scroll table").map(table => all("tr", table).map(
      row => all("th, td", row).map(cell => cell.textContent))),
    page_width: document.documentElement.scrollWidth, window_width: innerWidth,
  };
  const place = document.body.appendChild(document.createElement("pre"));
  place.id = "seen";
  place.textContent = JSON.stringify(seen);
});
</script>
"""


def look_at(page: Path, scratch: Path, width: int = 1200) -> dict:
    """What the browser makes of `page` in a window that is `width` pixels wide (Chromium has none below 500), and
    everything it says on its console, as "console". Skips the test where there is no browser."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip(f"there is no browser here: none of {', '.join(NAMES)} is in the PATH")
    probed = scratch / "probed.html"
    probed.write_text(page.read_text() + PROBE)
    process = subprocess.Popen(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--no-first-run",
         f"--user-data-dir={scratch / 'profile'}", "--enable-logging=stderr", f"--window-size={width},900", "--dump-dom",
         probed.as_uri()],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        shown, said = process.communicate(timeout=60 * SLOWDOWN)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # and the processes that it has started
        process.communicate()
        raise
    found = re.search(r'<pre id="seen">(.*?)</pre>', shown, re.S)
    assert found, said
    seen = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    seen["console"] = [line for line in said.splitlines() if "CONSOLE" in line]
    return seen
