"""`hecc.report`: one page, well formed, that loads nothing, holds no weights, and takes no orders from a plan."""

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
from hecc.words.drawing import draw_network
from hecc.words.html import Html, element
from hecc.words.sentences import layout_words

VOID = {"meta"}
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
    instructions = tuple(msgspec.structs.replace(i, source=i.source and HOSTILE) for i in plan.circuit.instructions)
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
        "The network",
        "Layers",
        "Time per layer",
        "Limbs along the depth",
        "Precision after each layer",
        "Where precision goes",
        "Memory of the server",
        "Inputs and outputs",
        "Security",
        "Files",
    ):
        assert heading in page.texts
    for layer in plan_layers(plan):
        assert page.texts.count(layer.source) >= 3
    assert "128 bits (classical adversary): log2 QP" in page.text
    assert f"2^{round(math.log2(plan.header.keys.ring_degree))} (this plan)" in page.texts
    assert plan.fingerprint in page.text


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
    used, defined = (set(re.findall(pattern, text)) for pattern in (r"var\((--\w+)\)", r"(--\w+):"))
    assert used == defined


def test_numbers_of_the_drawing_are_finite(text):
    assert not re.search(r'="[^"]*\b(nan|inf)\b', text)
    widths = [float(value) for name, value in Page(text).attributes if name == "width" and value]
    assert min(widths) >= 0


def test_names_in_a_plan_do_not_become_markup(plan):
    text = hecc.report(hostile(plan))
    page = Page(text)
    assert not {"script", "img"} & set(page.tags)
    assert "<script" not in text
    assert HOSTILE in page.text
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_attributes_and_children_are_escaped():
    made = element("p", "<b>", element("i", "&"), None, title='"><script>', class_="x", aria_hidden="true")
    assert made == ('<p title="&quot;&gt;&lt;script&gt;" class="x" aria-hidden="true">&lt;b&gt;<i>&amp;</i></p>')
    assert isinstance(made, Html)


def test_the_page_holds_no_weights(plan, text):
    small = len(text)
    constants = plan.circuit.constants
    changed = {n: 0.5 * a if n.endswith(".values") and a.dtype == np.float32 else a for n, a in constants.items()}
    other = hecc.report(replace(plan, circuit=replace(plan.circuit, constants=changed)))
    # What is measured in clear may differ; nothing else does.
    pattern = r"\d[\d.]*(?=%| bits|<)|width=\"[\d.]+\"|-?\d+\.\d"
    assert re.sub(pattern, "#", other) == re.sub(pattern, "#", text)
    assert small < 50_000


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
    assert page.texts[page.texts.index("security, classical adversary") - 1] == "none"
    assert "Not secure" not in hecc.report(plan)


def test_precision_is_measured_on_the_inputs_given(plan, digits, text):
    assert "made-up inputs within the declared range" in text
    assert "by the noise model on the inputs given" in hecc.report(plan, digits["images"])


def test_a_plan_may_be_a_file(plan, tmp_path):
    plan.save(tmp_path / "my.bin")
    text = Page(hecc.report(tmp_path / "my.bin")).text
    assert "my.bin: a plan for encrypted inference" in text
    assert "the circuit and the weights: stays with the server" in text


def test_branches_are_drawn_side_by_side(plan):
    first, *_, last = plan_layers(plan)
    layers = [first, replace(last, reads=(0,)), replace(last, reads=(0,)), replace(last, reads=(1, 2))]
    drawing = draw_network(layers, ["caption"] * 4)
    boxes = re.findall(r'<rect x="(\d+)" y="(\d+)" width="300" height="56"', drawing)
    assert len(set(boxes)) == 4
    assert boxes[1][1] == boxes[2][1]
    assert drawing.count('class="edge"') == 4


def test_an_edge_that_skips_layers_passes_them_on_the_side(plan):
    first, *_, last = plan_layers(plan)
    layers = [first, replace(last, reads=(0,)), replace(last, reads=(0, 1))]
    straight, *_ = re.findall(r'width="(\d+)" height="\d+" role', draw_network(layers[:2], ["caption"] * 2))
    drawing = draw_network(layers, ["caption"] * 3)
    (wider,) = re.findall(r'width="(\d+)" height="\d+" role', drawing)
    assert int(wider) > int(straight)
    (bend,) = [int(x) for x in re.findall(r"M301 29 C(\d+) 29", drawing)]
    assert 301 < bend <= int(wider)


def test_layouts_in_words():
    assert layout_words(vector_layout((1, 10), 64)) == "1 ciphertext of 64 slots, in order, repeated every 16 slots"
    assert layout_words(image_layout((1, 1, 4, 4), 16)) == "1 ciphertext of 16 slots, row by row"
    assert layout_words(image_layout((1, 4, 4, 4), 64, gap=(2, 2))) == (
        "1 ciphertext of 64 slots, channels multiplexed, 4 in the gaps between the pixels of one"
    )
    assert layout_words(vector_layout((), 16)) == "1 ciphertext of 16 slots, in order, repeated every 2 slots"


def test_a_plan_for_batches_is_described_batch_by_batch(network):
    page = hecc.report(hecc.compile(network((4,), ("gemm", 2)), batch=4))
    assert "predicted per batch, one core" in page
    assert "per row, one core" not in page
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
