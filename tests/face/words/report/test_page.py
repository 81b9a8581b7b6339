"""Pages: templates that escape whatever enters and miss nothing, and that a browser shows without cutting anything."""

import html
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

import jinja2
import msgspec
from markupsafe import Markup

import hecc
from hecc.words.report.page import GENERATOR, TEMPLATES, _environment, is_page

WIDTHS = (390, 1280, 1920)

MEASURE = """
<script>
addEventListener("load", () => {
  const found = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, width = frame.clientWidth;
    if (page.documentElement.scrollWidth > width) found.push(width + ": the page");
    for (const element of page.body.querySelectorAll("*")) {
      const box = element.getBoundingClientRect();
      const scrolls = element.parentElement.closest(".wide");
      if (!scrolls && (box.right > width + 0.5 || box.left < -0.5)) found.push(width + ": " + element.outerHTML);
    }
    found.push(width + " measured " + page.body.querySelectorAll("*").length);
  }
  const said = document.createElement("pre");
  said.id = "said";
  said.textContent = found.join("\\n");
  document.body.append(said);
});
</script>
"""


def test_templates_escape_and_miss_nothing():
    environment = _environment()
    shown = environment.from_string('<p title="{{ x }}">{{ x }}{{ y }}</p>').render(x="\"'<b>&", y=Markup("<i></i>"))
    assert shown == '<p title="&#34;&#39;&lt;b&gt;&amp;">&#34;&#39;&lt;b&gt;&amp;<i></i></p>'
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ missing }}").render()
    # Only what is written in the templates themselves, and the generator's tag, is no text.
    for file in TEMPLATES.iterdir():
        assert set(re.findall(r"\{\{(?:(?!\}\}).)*\|\s*safe", file.read_text(encoding="utf-8"))) <= {
            "{{ generator|safe",
            "{{ ' class=\"sticky\"'|safe",
            "{{ ' class=\"number\"'|safe",
        }


def test_a_page_of_ours_is_known(plan, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(hecc.report(plan), encoding="utf-8")
    assert is_page(path)
    path.write_text(f"<!DOCTYPE html>{' ' * 2000}{GENERATOR}", encoding="utf-8")
    assert not is_page(path)


def long_names(plan):
    """The plan with names that have no place to break, as long as a file may have them."""
    sources = list(dict.fromkeys(i.source for i in plan.circuit.instructions))
    names = {source: source and f"Operator '{number:x>240}'" for number, source in enumerate(sources)}
    instructions = tuple(msgspec.structs.replace(i, source=names[i.source]) for i in plan.circuit.instructions)
    return replace(plan, circuit=replace(plan.circuit, instructions=instructions))


@pytest.mark.slow
@pytest.mark.parametrize("named", [lambda plan: plan, long_names], ids=["own", "long"])
def test_no_element_is_wider_than_the_screen(plan, tmp_path, named):
    """At the widths of phones, laptops and large screens; tables scroll in boxes of their own."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    page = html.escape(hecc.report(named(plan)))
    frames = "".join(f'<iframe width="{width}" height="800" srcdoc="{page}"></iframe>' for width in WIDTHS)
    (tmp_path / "frames.html").write_text(f"<!DOCTYPE html><body>{frames}{MEASURE}</body>", encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=10000", "--dump-dom", (tmp_path / "frames.html").as_uri()]
    shown = subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=120, text=True)
    said = html.unescape(re.search(r'<pre id="said">(.*?)</pre>', shown, re.DOTALL)[1]).splitlines()
    measured = [line for line in said if " measured " in line]
    assert [int(line.split()[0]) for line in measured] == list(WIDTHS)
    assert min(int(line.split()[-1]) for line in measured) > 200
    assert [line for line in said if line not in measured] == []
