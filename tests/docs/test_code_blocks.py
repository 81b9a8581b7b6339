"""The code blocks of the documentation work, and show what really comes out.

Every fenced block names its language, and one of these holds:

* `python` blocks are executed, in order and with one namespace per file, in a folder of their own;
* a `python` block after the line `<!-- test: needs MODULE -->` is executed where that module is installed;
* a block after the line `<!-- test: run -->` is executed by bash, in the same folder;
* a `text` block after `<!-- test: output -->` is compared with what the block before it printed, numbers aside;
* a block after `<!-- test: not run, WHY -->` is not executed, and says why;
* a block after `<!-- ci: NAME -->` is a command that continuous integration runs;
* other `text` blocks are drawings.
"""

import contextlib
import importlib.util
import io
import os
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("README.md")),
]
NUMBER = re.compile(r"\b[0-9a-f]{8,}\b|\d[\d.]*(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the comment in the line before it, its text, and where it starts."""

    language: str
    mark: str
    text: str
    line: int

    @property
    def needs(self) -> str:
        """The module without which it cannot be executed."""
        match = re.fullmatch(r"test: needs (\w+)", self.mark)
        return match[1] if match else ""

    @property
    def role(self) -> str:
        """What is to be done with it: "python", "bash", "output" or "nothing"; "" when that is not clear."""
        if self.mark == "test: run":
            return "bash"
        if self.mark == "test: output" and self.language == "text":
            return "output"
        if self.needs and self.language == "python":
            return "python"
        if re.fullmatch(r"test: not run, \S.*|ci: \w+", self.mark):
            return "nothing"
        if self.mark:
            return ""
        return {"python": "python", "text": "nothing"}.get(self.language, "")


def blocks(markdown: str) -> list[Block]:
    """The fenced blocks of a page."""
    found, mark, opened = [], "", None
    for number, line in enumerate(markdown.splitlines(), 1):
        if opened is not None:
            if line == "```":
                found.append(Block(opened[0], opened[1], "\n".join(opened[2]), opened[3]))
                opened = None
            else:
                opened[2].append(line)
        elif line.lstrip().startswith("```"):
            opened = (line.strip().removeprefix("```"), mark, [], number)
        comment = re.fullmatch(r"<!-- (.*) -->", line)
        mark = comment[1] if comment else ""
    assert opened is None, f"the block that starts in line {opened[3]} has no end"
    return found


PROGRESS = re.compile(
    r"^((compiling|describing|estimating|measuring) .*: .*|(making|encrypting|evaluating)[a-z ]*: \d+ of \d+)\n",
    re.MULTILINE,
)
"""Stages of a command, which are told only where one takes long."""


def normalised(text: str) -> list[str]:
    """The lines of an output without what differs from run to run: numbers, and the spaces that align them."""
    lines = (re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip() for line in PROGRESS.sub("", text).splitlines())
    # How many primes there are is a number, too.
    return [re.sub(r"#( \+ #)+", "#", line) for line in lines if line]


def shell(text: str) -> str:
    """What bash prints on either stream."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_code_blocks_of_a_page_work(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    printed: str | None = ""  # None behind a block that could not be executed
    for block in blocks(file.read_text(encoding="utf-8")):
        where = f"{file.name}, line {block.line}"
        assert block.role, f"{where}: a {block.language or 'nameless'} block with mark {block.mark!r} is not tested"
        if block.needs and importlib.util.find_spec(block.needs) is None:
            printed = None
            continue
        if block.role == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stream, warnings.catch_warnings():
                if block.needs:  # what other packages warn of is not ours to mend
                    warnings.simplefilter("ignore")
                exec(compile(block.text, where, "exec"), namespace)
            printed = stream.getvalue()
        elif block.role == "bash":
            printed = shell(block.text)
        elif block.role == "output" and printed is not None:
            found, expected = normalised(printed), normalised(block.text)
            assert expected
            assert expected == found, f"{where}: this is what is printed now:\n{printed}"


@pytest.mark.parametrize(
    "markdown",
    [
        "```\ntext\n```",
        "```bash\nhecc demo\n```",
        "<!-- test: rnu -->\n```bash\nhecc demo\n```",
        "```console\n$ ls\n```",
    ],
)
def test_a_block_without_a_mark_is_noticed(markdown):
    assert [block.role for block in blocks(markdown)] == [""]


def test_an_output_that_differs_is_noticed():
    assert normalised("key set 0123abcd in 1.20 s") == normalised("key set 89efcdab in  0.9 s")
    assert normalised("accuracy 99%") != normalised("accuracy of 99%")
