"""`hecc.report`: one page, well formed, that loads nothing, holds no weights, and takes no orders from a plan."""

import itertools
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import hecc
from hecc.cli.commands import app
from hecc.measure.layers import plan_layers
from hecc.runtime.ckks.circuit.layout import image_layout, vector_layout
from hecc.runtime.ckks.circuit.parameters import SecurityEvidence
from hecc.words.sentences import layout_words

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

VOID = {"meta", "br"}
HOSTILE = "<script>alert(1)</script>\"'&--><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Elements, attributes and text of a page whose tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "\n".join(self.texts)


@pytest.fixture(scope="module")
def text(plan):
    return hecc.report(plan)


def hostile(plan):
    """The plan with markup for every name that a file may choose."""
    sources = list(dict.fromkeys(i.source for i in plan.circuit.instructions))
    names = {source: source and f"{HOSTILE}{number}" for number, source in enumerate(sources)}
    instructions = tuple(msgspec.structs.replace(i, source=names[i.source]) for i in plan.circuit.instructions)
    header = msgspec.structs.replace(
        plan.header,
        producer=HOSTILE,
        model=HOSTILE,
        inputs=tuple(msgspec.structs.replace(s, name=HOSTILE) for s in plan.header.inputs),
        outputs=tuple(msgspec.structs.replace(s, name=HOSTILE) for s in plan.header.outputs),
    )
    named = tuple(msgspec.structs.replace(i, name=HOSTILE) if i.op in {"input", "output"} else i for i in instructions)
    return replace(plan, header=header, circuit=replace(plan.circuit, instructions=named))


def test_the_page_says_everything_about_the_plan(plan, text):
    page = Page(text)
    for heading in (
        "In plain words",
        "What does it do?",
        "What is encrypted?",
        "Is it secure?",
        "How precise is it?",
        "How long does it take?",
        "How much memory?",
        "What is sent?",
        "What can go wrong",
        "What to do next",
        "Where does the time go?",
        "How do precision and limbs fall?",
        "What is in the server's memory?",
        "Layers",
        "The network",
        "Inputs and outputs",
        "Security",
        "Files",
        "All figures of the plan",
    ):
        assert heading in page.texts
    # In the charts, twice, in the table, and in the drawing; an input takes no time.
    for number, layer in enumerate(plan_layers(plan)):
        assert page.text.count(layer.source) >= (2 if layer.is_input else 4)
        assert f"{number} {layer.source}" in page.texts
    assert "128 bits (classical adversary): log2 QP" in page.text
    assert f"2^{round(math.log2(plan.header.keys.ring_degree))} (this plan)" in page.texts
    assert plan.fingerprint in page.text
    assert "hecc evaluate plan.bin --inputs TEST --labels LABELS" in page.texts


def test_the_page_loads_nothing_and_runs_nothing(text):
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in {"src", "href"} or name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    assert "://" not in text
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_the_page_is_for_dark_and_light_for_phones_and_for_paper(text):
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert "@media print" in text
    assert ("content", "width=device-width, initial-scale=1") in Page(text).attributes
    used, defined = (set(re.findall(pattern, text)) for pattern in (r"var\((--[\w-]+)\)", r"(--[\w-]+):"))
    assert used == defined


def test_numbers_of_the_drawings_are_finite(text):
    assert not re.search(r'="[^"]*\b(nan|inf)\b', text)
    widths = [float(value) for name, value in Page(text).attributes if name == "width" and value]
    assert min(widths) >= 0


def test_the_page_can_be_read_to_those_who_do_not_see_it(text):
    page = Page(text)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    assert page.tags.count("th") == sum(name == "scope" for name, _ in page.attributes) > 20
    assert ("lang", "en") in page.attributes
    # Every chart says what it shows; the bars in the drawing repeat what is written there.
    drawings = page.tags.count("svg")
    told = sum(name == "aria-label" and "Precision and limbs" in value for name, value in page.attributes)
    hidden = page.attributes.count(("aria-hidden", "true"))
    assert told == 2
    assert drawings == page.attributes.count(("role", "img")) + hidden
    # What scrolls can be reached without a mouse.
    scrolling = [value for name, value in page.attributes if name == "class" and value == "wide"]
    assert page.attributes.count(("tabindex", "0")) == page.attributes.count(("role", "region")) == len(scrolling)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """By the Web Content Accessibility Guidelines 2.2."""
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_charts_stand_out_in_both_themes(text, theme):
    colours = dict(re.findall(r"(--[\w-]+): (#\w{6})", re.findall(r":root \{.*?\}", text, re.DOTALL)[theme]))
    for ground in ("--paper", "--panel", "--input"):
        for ink in ("--ink", "--soft", "--accent", "--alarm"):
            assert contrast(colours[ink], colours[ground]) >= 4.5
    for series in ("--series-1", "--series-2", "--series-3"):
        assert contrast(colours[series], colours["--paper"]) >= 3


def test_names_in_a_plan_do_not_become_markup(plan):
    text = hecc.report(hostile(plan))
    page = Page(text)
    assert len(plan_layers(hostile(plan))) > 3
    assert not {"script", "img"} & set(page.tags)
    assert "<script" not in text
    assert HOSTILE in page.text
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_the_page_holds_no_weights(plan, text, monkeypatch):
    def unmeasured(*given):
        # What is measured in clear depends on the weights; nothing else does.
        return tuple(replace(layer, precision_bits=None, error_share=None) for layer in plan_layers(*given))

    monkeypatch.setattr("hecc.reporting.plan_layers", unmeasured)
    constants = plan.circuit.constants
    changed = {n: 0.5 * a if n.endswith(".values") and a.dtype == np.float32 else a for n, a in constants.items()}
    assert hecc.report(replace(plan, circuit=replace(plan.circuit, constants=changed))) == hecc.report(plan)
    assert len(text) < 100_000


def test_the_clients_plan_gives_what_can_be_said_of_it(plan):
    text = hecc.report(plan.client())
    page = Page(text)
    assert "This is the client's plan." in page.text
    assert "svg" not in page.tags
    assert "log2 QP" in page.text
    with pytest.raises(hecc.InputError, match="this is the client's plan, without the circuit"):
        hecc.report(plan.client(), np.zeros((1, 1, 8, 8)))


def test_a_plan_that_lies_about_its_security_is_called_insecure(plan):
    keys = plan.header.keys
    evidence = SecurityEvidence(128, "classical", keys.security.table, 900)
    header = msgspec.structs.replace(plan.header, keys=msgspec.structs.replace(keys, security=evidence))
    page = Page(hecc.report(replace(plan, header=header)))
    assert "Not secure: the plan's security evidence" in page.text
    heading = page.texts.index("Is it secure?")
    assert "none" in page.texts[heading : heading + 4]
    assert "Make no keys for this plan." in page.texts
    assert "Not secure" not in hecc.report(plan)


def test_precision_is_measured_on_the_inputs_given(plan, digits, text):
    assert "made-up inputs within the declared range" in text
    assert "by the noise model on the inputs given" in hecc.report(plan, digits["images"])


def test_a_plan_may_be_a_file(plan, tmp_path):
    plan.save(tmp_path / "my.bin")
    text = Page(hecc.report(tmp_path / "my.bin")).text
    assert "my.bin: report of hecc" in text
    assert "hecc keygen my.client.bin" in text
    assert "the circuit and the weights: stays with the server" in text


def test_layouts_in_words():
    assert layout_words(vector_layout((1, 10), 64)) == "1 ciphertext of 64 slots, in order, repeated every 16 slots"
    assert layout_words(image_layout((1, 1, 4, 4), 16)) == "1 ciphertext of 16 slots, row by row"
    assert layout_words(image_layout((1, 4, 4, 4), 64, gap=(2, 2))) == (
        "1 ciphertext of 64 slots, channels multiplexed, 4 in the gaps between the pixels of one"
    )
    assert layout_words(vector_layout((), 16)) == "1 ciphertext of 16 slots, in order, repeated every 2 slots"


def test_a_plan_for_batches_is_described_batch_by_batch(network):
    page = hecc.report(hecc.compile(network((4,), ("gemm", 2)), batch=4))
    assert "Predicted for a batch on one core" in page
    assert "It evaluates up to 4 rows at once." in page
    assert "per row on" not in page
    assert "to the client, per batch" in page


NORMAL = np.random.default_rng(8).normal(size=(200, 16)).clip(-3, 3)


@pytest.fixture(scope="module")
def fitted(network):
    return network((16,), ("gemm", 16), ("Sigmoid",), ("gemm", 8), ("Sigmoid",), ("gemm", 3))


@pytest.mark.filterwarnings("error")
def test_made_up_inputs_stay_where_polynomials_were_fitted(fitted):
    # Real inputs fill a small part of what is declared.
    plan = hecc.compile(fitted, calibration=NORMAL, input_range=(-60.0, 60.0), precision=10.0)
    made_up, real = plan_layers(plan), plan_layers(plan, NORMAL)
    for one, other in zip(made_up, real, strict=True):
        assert one.precision_bits == pytest.approx(other.precision_bits, abs=2.0)
    # Of a mean over slots, not of the worst one: more than the plan promises, and not by far.
    promised = plan.header.estimate.precision_bits
    assert promised - 0.5 < made_up[-1].precision_bits < promised + 5
    assert sum(layer.error_share for layer in made_up) == pytest.approx(1.0)


@pytest.mark.filterwarnings("error")
def test_where_made_up_inputs_leave_all_intervals_the_precision_is_unknown(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("hecc.measure.layer_errors.SPREADS", (1.0,))
    plan = hecc.compile(fitted, calibration=NORMAL, input_range=(-60.0, 60.0), precision=6.0)
    assert {(layer.precision_bits, layer.error_share) for layer in plan_layers(plan)} == {(None, None)}
    assert "`hecc report --inputs` takes real ones" in hecc.report(plan)
    assert "Unknown: made-up inputs" not in hecc.report(plan, NORMAL)
    assert "they are not like those of the calibration" in hecc.report(plan, 18 * NORMAL)
    assert all(layer.precision_bits > 5 for layer in plan_layers(plan, NORMAL))
    plan.save(tmp_path / "plan.bin")
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "plan.bin")])
    assert shown.exit_code == 0
    assert not shown.stderr
    assert "nan" not in shown.stdout
    assert "The precision of the layers is unknown" in shown.stdout
    answer = json.loads(CliRunner().invoke(app, ["inspect", str(tmp_path / "plan.bin"), "--json"]).stdout)
    assert {layer["precision_bits"] for layer in answer["layers"]} == {None}
