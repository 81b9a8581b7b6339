"""The comparison with peers: figures, verdicts and the protocol, with a system made up here in place of the peers."""

import importlib
import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

FAKE = """
import json, os, sys
from pathlib import Path
from peer_comparison.worker import serve

class Fake:
    def __init__(self, error, gain):
        self.error, self.gain = float(error), float(gain)

    def setup(self, folder, network, threads):
        print("what a system prints is no reply")
        if network == "broken":
            raise MemoryError("too little of it")
        if network == "fatal":
            sys.stderr.write("the last words")
            sys.stderr.flush()
            os._exit(3)
        if network == "killed":
            os.kill(os.getpid(), 9)
        return dict(
            preparation=1.0, key_generation=2.0, key_bytes=3000, ring_degree=8192, log2_qp=217, secret="uniform ternary"
        )

    def encrypt(self, image):
        return image

    def compute(self, encrypted):
        return encrypted + self.error

    def decrypt(self, result):
        return result.ravel().tolist()

    def cleartext(self, image):
        return (self.gain * image).ravel().tolist()

    def sizes(self, encrypted, result):
        return 100, 50

serve(Fake(*sys.argv[1:]), ["numpy"])
"""


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes contestants that add an error to their input; their cleartext is the input times a gain."""
    (tmp_path / "fake_system.py").write_text(textwrap.dedent(FAKE))
    np.save(tmp_path / "images.npy", np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2) / 12)
    monkeypatch.chdir(tmp_path)  # where -m looks first
    measurement = part("measurement")

    def make(title, error, gain=1.0):
        return measurement.Contestant(title, Path(sys.executable), "fake_system", (str(error), str(gain)))

    return make


def part(name: str) -> ModuleType:
    return importlib.import_module(f"peer_comparison.{name}")


def compared(fake, tmp_path, *, peer=0.25, hecc=0.125):
    contestants = [fake("hecc, 2 threads", hecc), fake("hecc, 1 thread", hecc)]
    return part("measurement").measure(
        "lola", tmp_path, fake("Fake", peer), contestants, runs=2, tell=lambda words: None
    )


def test_systems_take_turns_and_are_measured_alike(fake, tmp_path):
    comparison = compared(fake, tmp_path)
    assert [system.title for system in (comparison.peer, *comparison.hecc)] == [
        "Fake",
        "hecc, 2 threads",
        "hecc, 1 thread",
    ]
    for system, error in zip((comparison.peer, *comparison.hecc), (0.25, 0.125, 0.125), strict=True):
        assert system.versions == {"numpy": np.__version__}
        assert system.mean_error == pytest.approx(error)
        assert system.largest_error == pytest.approx(error)
        assert system.largest_output == pytest.approx(11 / 12)
        assert len(system.runs) == 2
        assert system.first.output[0] == pytest.approx(error)
        assert system.runs[1].output[0] == pytest.approx(8 / 12 + error)
        assert 0 <= system.median("computation") < 1
        assert system.median("input_bytes") == 100
        assert system.loading > 0
        assert 1 << 20 < system.peak_memory < 1 << 32


def test_processor_time_of_others_is_told_apart(fake, tmp_path, monkeypatch):
    measurement = part("measurement")
    states = iter([(100.0, 10.0, 1000.0), (130.0, 15.0, 1100.0)])
    monkeypatch.setattr(measurement, "_processors", lambda: next(states))
    assert compared(fake, tmp_path).others == pytest.approx(0.25)
    monkeypatch.undo()
    monkeypatch.syspath_prepend(BENCHMARKS)
    if Path("/proc/stat").exists():
        busy, own, everything = measurement._processors()
        assert 0 < own < busy < everything


def test_another_network_is_noticed(fake, tmp_path):
    with pytest.raises(part("processes").WorkerError, match="Other does not have the same network"):
        part("measurement").measure(
            "lola", tmp_path, fake("Other", 0.0, gain=1.01), [fake("hecc", 0.0)], runs=1, tell=lambda words: None
        )


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("broken", "Fake failed at 'setup': MemoryError: too little of it"),
        ("fatal", "Fake ended at 'setup' with status 3: the last words"),
        ("killed", "Fake was killed at 'setup', most likely for lack of memory"),
    ],
)
def test_a_failure_is_one_sentence(fake, tmp_path, network, words):
    with pytest.raises(part("processes").WorkerError) as caught:
        part("measurement").measure(
            network, tmp_path, fake("Fake", 0.0), [fake("hecc", 0.0)], runs=1, tell=lambda words: None
        )
    assert str(caught.value) == words


def test_a_worker_that_cannot_load_says_why():
    with pytest.raises(part("processes").WorkerError, match=r"X ended at 'loading' with status 1: .*no_such_module"):
        part("processes").WorkerProcess("X", Path(sys.executable), "no_such_module")


def test_tables_hold_the_medians_and_their_ratios(fake, tmp_path):
    report = part("report")
    comparison = compared(fake, tmp_path)

    def with_seconds(system, *seconds):
        run = system.runs[0]
        return replace(system, runs=tuple(replace(run, computation=each) for each in seconds))

    comparison = replace(
        comparison,
        peer=with_seconds(comparison.peer, 1.0, 3.0, 2.0),
        hecc=(with_seconds(comparison.hecc[0], 0.1, 0.3, 0.2), with_seconds(comparison.hecc[1], 0.5, 0.5, 0.5)),
    )
    (row,) = (line for line in report.details(comparison) if "**computation**" in line)
    assert row == "| **computation** | 2 s | 200 ms | 500 ms | 10 |"
    (row,) = (line for line in report.details(comparison) if "lowest" in line)
    assert row == "| its lowest and highest | 1 s to 3 s | 100 ms to 300 ms | 500 ms to 500 ms | |"
    heads, rule, row = report.summary([comparison])
    assert heads.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| LoLA | Fake | 2 s / 200 ms | 10 | 4.0 |")
    assert "1.9 / 2.9 bits | 217 / 214, **over** | 217 / 214, **over** |" in row
    widths = {line.count("|") for line in report.details(comparison)}
    assert len(widths) == 1


def test_a_ratio_does_not_count_at_less_precision(fake, tmp_path):
    report = part("report")
    comparison = compared(fake, tmp_path, hecc=0.1)
    assert report.at_least_as_precise(comparison)
    assert "hecc is at least as precise (mean error 0.1 against 0.25 of Fake" in report.precision_verdict(comparison)
    for error in ("mean_error", "largest_error"):
        worse = replace(comparison, hecc=(replace(comparison.hecc[0], **{error: 0.5}),))
        assert not report.at_least_as_precise(worse)
        assert "the ratios do not count" in report.precision_verdict(worse)


@pytest.mark.parametrize(
    ("ring_degree", "log2_qp", "words"),
    [
        (8192, 214.00002, "214 / 214"),
        (8192, 214.4, "214 / 214, **over**"),
        (8192, 218, "218 / 214, **over**"),
        (16384, 315, "315 / 430"),
    ],
)
def test_the_modulus_is_held_against_the_table(ring_degree, log2_qp, words):
    assert part("report").security_verdict(ring_degree, log2_qp) == words


@pytest.mark.parametrize(
    ("peer", "hecc", "words"), [(32.4, 1.0, "32"), (5.0, 2.0, "2.5"), (1.0, 1.0, "1.0"), (0.01, 2.0, "0.005")]
)
def test_ratios_have_two_digits(peer, hecc, words):
    assert part("report").ratio(peer, hecc) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0001234, "0.123 ms"), (0.0123, "12.3 ms"), (0.5, "500 ms"), (2.4, "2.4 s"), (250, "250 s")],
)
def test_times_have_three_digits(seconds, words):
    assert part("report").time_words(seconds) == words


def test_only_what_is_between_the_markers_is_replaced(tmp_path):
    report = part("report")
    page = tmp_path / "page.md"
    assert report.between_markers(page, "new\n") == f"{report.BEGIN}\nnew\n{report.END}\n"
    page.write_text(f"before\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n")
    assert report.between_markers(page, "new\n") == f"before\n\n{report.BEGIN}\nnew\n{report.END}\n\nafter\n"
    page.write_text(f"{report.BEGIN}\nno end\n")
    with pytest.raises(ValueError, match=r"page\.md has no lines"):
        report.between_markers(page, "new\n")


def test_the_page_says_what_is_missing(fake, tmp_path):
    report = part("report")
    conditions = report.Conditions(
        date="2026-01-02",
        machine={"processor": "one"},
        versions={"b": "2", "a": "1"},
        runs=2,
        load=(0.5, 2.0),
        missing=["Other, which could not be installed"],
    )
    page = report.page(conditions, [replace(compared(fake, tmp_path), others=0.25)], "page.svg")
    for words in (
        "Measured on 2026-01-02:",
        "* processor: one",
        "* versions: a 1, b 2",
        "* load average over a minute: 0.5 before the measurements, 2.0 after them",
        "* missing: Other, which could not be installed",
        "LoLA: hecc is at least as precise",
        "](page.svg)",
        "Other programs had 25% of the processors' time meanwhile.",
    ):
        assert words in page


def test_the_plot_is_a_small_picture_with_every_network(fake, tmp_path):
    pytest.importorskip("matplotlib")
    comparison = compared(fake, tmp_path)
    path, again = tmp_path / "plot.svg", tmp_path / "again.svg"
    part("plots").plot([comparison, comparison], path)
    part("plots").plot([comparison, comparison], again)
    text = path.read_text()
    assert text.count("LoLA (Fake)") >= 2
    assert len(text) < 50_000
    assert text == again.read_text()


@pytest.mark.parametrize("name", ["lola", "mlp", "lenet", "tutorial"])
def test_the_onnx_file_is_the_network_that_the_peers_are_given(name, tmp_path):
    networks = part("networks")
    networks.write_network(name, tmp_path, 2)
    onnx.checker.check_model(onnx.load(tmp_path / networks.MODEL), full_check=True)
    image = np.load(tmp_path / networks.IMAGES)[1]
    layers = networks.NETWORKS[name].layers
    value = image.astype(np.float64)
    for index, (layer, (weight, bias)) in enumerate(
        zip(layers, networks.read_weights(tmp_path, len(layers)), strict=True)
    ):
        if isinstance(layer, networks.Convolution):
            padded = np.pad(value, ((0, 0), (layer.padding,) * 2, (layer.padding,) * 2))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (layer.kernel,) * 2, axis=(1, 2))
            windows = windows[:, :: layer.stride, :: layer.stride]
            value = np.einsum("cijkl,ockl->oij", windows, weight) + bias[:, None, None]
        else:
            value = weight @ value.ravel() + bias
        if layer.normalised:
            value = value / np.sqrt(1 + 1e-5)
        if index < len(layers) - 1:
            value = value**2
    (output,) = ReferenceEvaluator(str(tmp_path / networks.MODEL)).run(None, {"image": image[None]})
    np.testing.assert_allclose(output[0], value, rtol=1e-4, atol=1e-5 * np.abs(value).max())


def test_an_environment_that_cannot_be_made_is_one_sentence(tmp_path):
    environments = part("environments")
    (tmp_path / "fake").write_text("a file where the folder should be")
    with pytest.raises(environments.InstallationError, match=r"Fake cannot be installed in .*fake: ") as caught:
        environments.provide("fake", environments.Peer("Fake", "fake", (), {}), tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_installed_already_is_not_installed_again(tmp_path, monkeypatch):
    environments = part("environments")
    site = tmp_path / "site"
    python = tmp_path / "fake" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    commands = []

    def run(command, what):
        commands.append(command)
        return json.dumps([{"some-package": "1.0+cpu", "other": "1.9"}, str(site)])

    monkeypatch.setattr(environments, "_run", run)
    site.mkdir()
    peer = environments.Peer(
        "Fake",
        "fake",
        (),
        {"Some-Package": "1.0"},
        bare={"other": "2.0"},
        stand_ins={"empty/module.py": "# nothing\n"},
    )
    assert environments.provide("fake", peer, tmp_path) == python
    assert [command[-2:] for command in commands[1:]] == [["--no-deps", "other==2.0"]]
    assert (site / "empty" / "module.py").read_text() == "# nothing\n"


def test_the_script_stops_before_it_measures_when_nothing_can_be_compared(tmp_path):
    (tmp_path / "tenseal").write_text("a file where the folder should be")
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.md"
    command = [sys.executable, BENCHMARKS / "peers.py", "--peers", "tenseal", "--venvs", tmp_path, "--output", page]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "TenSEAL cannot be installed in" in result.stderr
    assert result.stderr.splitlines()[-1] == "there is nothing to compare with"
    assert not page.exists()
