"""What pyproject.toml says of wheels agrees with what it says of hecc, and with the workflow that builds them."""

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import hecc

ROOT = Path(__file__).resolve().parents[1]
PLATFORMS = {"manylinux_x86_64", "manylinux_aarch64", "macosx_arm64"}


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def workflow() -> str:
    path = ROOT / ".github" / "workflows" / "wheels.yml"
    if not path.exists():
        pytest.skip("the workflows are in the repository, not in a source distribution")
    return path.read_text(encoding="utf-8")


def identifiers(wheels: dict[str, Any]) -> set[str]:
    """The builds that are wanted, of all those that cibuildwheel has for these versions and some beside them."""
    tags = [f"cp3{minor}{threads}" for minor in range(9, 16) for threads in ("", "t")] + ["pp310-pypy310_pp73"]
    kinds = ["manylinux", "musllinux"]
    places = [f"{kind}_{arch}" for kind in kinds for arch in ("x86_64", "aarch64", "i686", "ppc64le", "s390x")]
    archs = {"linux": wheels["linux"]["archs"], "macosx": wheels["macos"]["archs"], "win": ["amd64", "win32"]}
    places = [place for place in places if place.partition("_")[2] in archs["linux"]]
    places += [f"macosx_{arch}" for arch in ("x86_64", "arm64", "universal2") if arch in archs["macosx"]]
    places += ["win_amd64", "win32", "win_arm64"]
    every = [f"{tag}-{place}" for tag in tags for place in places]
    return {
        name
        for name in every
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in wheels["build"])
        and not any(fnmatch.fnmatchcase(name, pattern) for pattern in wheels["skip"])
    }


def test_wheels_are_built_for_exactly_the_versions_that_are_promised(settings):
    project = settings["project"]
    promised = [
        entry.rpartition(".")[2]
        for entry in project["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", entry)
    ]
    assert project["requires-python"] == f">=3.{promised[0]}"
    wanted = {f"cp3{minor}-{platform}" for minor in promised for platform in PLATFORMS}
    assert identifiers(settings["tool"]["cibuildwheel"]) == wanted


def test_a_wheel_is_tested_by_what_there_is(settings):
    wheels = settings["tool"]["cibuildwheel"]
    assert set(wheels["test-extras"]) <= set(settings["project"]["optional-dependencies"])
    commands = [shlex.split(command) for command in wheels["test-command"]]
    assert commands[0][0] in settings["project"]["scripts"]
    paths = [word.partition("{project}/")[2] for command in commands for word in command if "{project}" in word]
    assert paths
    assert all((ROOT / path).is_dir() for path in paths)


def test_the_workflow_builds_every_platform_and_runs_continuous_integration(settings, workflow):
    found = re.findall(r"- { platform: (\w+), arch: (\w+), runner: ([\w.-]+) }", workflow)
    wheels = settings["tool"]["cibuildwheel"]
    wanted = [(platform, arch) for platform in ("linux", "macos") for arch in wheels[platform]["archs"]]
    assert [(platform, arch) for platform, arch, _ in found] == wanted
    # Nothing is emulated: an AArch64 wheel is built and tested on AArch64.
    assert all(runner.endswith("-arm") == (arch == "aarch64") for _, arch, runner in found)
    assert "- run: .ci/run\n" in workflow
    assert "python -m build --sdist" in workflow


def test_what_is_published_is_what_was_tested(workflow):
    jobs = pytest.importorskip("yaml").safe_load(workflow)["jobs"]
    publish = jobs["publish"]
    assert publish["if"] == "startsWith(github.ref, 'refs/tags/v')"
    # By way of what it needs, all other jobs come first.
    needed, waiting = set(), ["publish"]
    while waiting:
        wanted = jobs[waiting.pop()].get("needs", [])
        waiting += set(wanted) - needed
        needed |= set(wanted)
    assert needed == set(jobs) - {"publish"}
    # Nobody's password: PyPI trusts the workflow, in this environment; no other job has the right to ask for a token.
    assert publish["environment"]["name"] == "pypi"
    assert publish["permissions"] == {"id-token": "write"}
    assert all("permissions" not in job for name, job in jobs.items() if name != "publish")
    assert "secrets." not in workflow
    (upload,) = [step for step in publish["steps"] if step["uses"].startswith("pypa/gh-action-pypi-publish@")]
    assert upload["with"] == {"attestations": True}
    assert "python .ci/check_tag.py" in str(jobs["ci"]["steps"])
    assert "twine check --strict" in str(jobs["distributions"]["steps"])


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "fault"),
    [
        ("v1.2.0", "1.2.0", "# Changelog\n\n## 1.2.0\n", ""),
        ("v1.2.0", "1.2.0", "## [1.2.0] - 2027-01-01\n", ""),
        ("v1.2.1", "1.2.0", "## 1.2.0\n", "v1.2.1: the sources are version 1.2.0: tag v1.2.0, or change __version__\n"),
        ("1.2.0", "1.2.0", "## 1.2.0\n", "1.2.0: the sources are version 1.2.0: tag v1.2.0, or change __version__\n"),
        ("v1.2.0", "1.2.0", "## Unreleased\n", "v1.2.0: CHANGELOG.md has no heading `## 1.2.0`: name what is"),
    ],
)
def test_only_a_tag_that_is_the_version_is_published(tmp_path, tag, version, changelog, fault):
    script = ROOT / ".ci" / "check_tag.py"
    if not script.exists():
        pytest.skip("what publishes is in the repository, not in a source distribution")
    (tmp_path / ".ci").mkdir()
    shutil.copy(script, tmp_path / ".ci")
    (tmp_path / "src" / "hecc").mkdir(parents=True)
    (tmp_path / "src" / "hecc" / "__init__.py").write_text(f'__version__ = "{version}"\n')
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    command = [sys.executable, tmp_path / ".ci" / "check_tag.py", tag]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == bool(fault)
    assert result.stdout.startswith(fault)


def test_what_is_only_for_the_repository_is_not_in_a_source_distribution(settings):
    excluded = settings["tool"]["scikit-build"]["sdist"]["exclude"]
    assert {".ci", ".github"} <= set(excluded)


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    return pytest.importorskip("yaml").safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_has_what_its_format_asks_for(citation):
    """The required keys of the Citation File Format 1.2.0, and the types of those that are used."""
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert all(isinstance(citation[key], str) for key in set(citation) - {"authors", "keywords"})
    assert citation["authors"]
    assert all(set(author) <= {"name", "family-names", "given-names", "orcid"} for author in citation["authors"])


def test_the_citation_is_of_this_version(settings, citation):
    project = settings["project"]
    assert citation["version"] == hecc.__version__
    assert citation["license"] == project["license"]
    assert citation["keywords"] == project["keywords"]
    assert citation["title"].startswith(f"{project['name']}: ")


def test_security_fixes_are_promised_for_this_version():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    minor = hecc.__version__.rpartition(".")[0]
    assert re.findall(r"^\| ([\d.]+) \| yes \|$", text, re.MULTILINE) == [minor]


def test_contributors_are_told_the_lines_and_tools_of_this_project(settings):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"up to {settings['tool']['ruff']['line-length']} characters" in text
    assert f"Python {settings['project']['requires-python'].removeprefix('>=')} or newer" in text
    extras = settings["project"]["optional-dependencies"]
    assert set(re.findall(r"'\.\[(\w+)\]'", text)) <= set(extras)
    tools = {re.split(r"[=<>]", requirement)[0] for requirement in extras["dev"]}
    assert {tool for tool in ("ruff", "mypy", "clang-format") if tool in text} <= tools
