"""What would make a refused network run: each way is a network that compiles, with what it costs."""

import json
import re

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import hecc
from hecc.compiler.importer import import_model
from hecc.options.table import CompileOptions
from hecc.passes.ckks import search
from hecc.preparation import prepare
from hecc.words import advice, ways
from hecc.words.substitutes import averaged, smoothed, squared
from hecc.words.ways import ways_out

ROWS = np.random.default_rng(3).uniform(0, 1, (60, 1, 8, 8)).astype(np.float32)

POOLED = """g (float[N, 1, 8, 8] x) => (float[N, 3] y) {
    c = Conv<kernel_shape = [3, 3]>(x, k)  r = Relu(c)  p = %s<kernel_shape = [2, 2], strides = [2, 2]>(r)
    f = Flatten(p)  d = Gemm(f, v)  s = Relu(d)  y = Gemm(s, w)
}"""


def pooled(operator):
    """A small convolutional network."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {POOLED % operator}')
    draw = np.random.default_rng(1).normal
    for name, shape in {"k": (2, 1, 3, 3), "v": (18, 8), "w": (8, 3)}.items():
        model.graph.initializer.append(numpy_helper.from_array(draw(0, 0.3, shape).astype(np.float32), name))
    return model


def refused(verb, model, **options):
    with pytest.raises((hecc.UnsupportedError, hecc.CompileError)) as refusal:
        verb(model, calibration=ROWS, **options)
    return refusal.value


def maximal():
    """A convolution and a maximum of two pixels."""
    text = """g (float[N, 1, 8, 8] x) => (float[N, 3] y) {
        c = Conv<kernel_shape = [3, 3]>(x, k)  p = MaxPool<kernel_shape = [1, 2], strides = [1, 2]>(c)
        f = Flatten(p)  y = Gemm(f, v)
    }"""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    draw = np.random.default_rng(1).normal
    for name, shape in {"k": (2, 1, 3, 3), "v": (36, 3)}.items():
        model.graph.initializer.append(numpy_helper.from_array(draw(0, 0.3, shape).astype(np.float32), name))
    return model


@pytest.fixture(scope="module")
def estimated():
    """The refusal of an estimate of that network at more precision than a maximum allows."""
    return refused(hecc.estimate, maximal(), precision=12.0)


def test_a_maximum_compiles_at_a_lower_precision_and_its_refusal_points_on():
    refusal = refused(hecc.compile, maximal(), precision=12.0)
    assert str(refusal).startswith("MaxPool 'p' (opset 17) is not a polynomial")
    assert refusal.__notes__ == ["`hecc estimate` tries what would make it run, and says what each way costs"]
    plan = hecc.compile(maximal(), calibration=ROWS, precision=refusal.precision)
    assert plan.header.estimate.precision_bits >= refusal.precision


def test_an_estimate_of_a_refused_network_says_what_each_way_costs(estimated):
    ways = {way.changes: way for way in estimated.ways}
    averages = ways[("use average pooling in place of maxima",)]
    assert averages.trains
    (lower,) = (way for changes, way in ways.items() if changes[0].startswith("ask for"))
    assert not lower.trains
    plan = hecc.compile(maximal(), calibration=ROWS, precision=lower.precision)
    estimate = plan.header.estimate
    assert (lower.seconds, lower.memory) == (estimate.seconds / plan.header.batch, plan.header.peak_memory)
    assert lower.key_bytes == estimate.evaluation_key_bytes
    assert averages.seconds < lower.seconds
    (note,) = estimated.__notes__
    assert note.splitlines()[1:] == [f"  {way.sentence}" for way in estimated.ways]


def test_what_needs_no_training_comes_first():
    refusal = refused(hecc.estimate, pooled("AveragePool"), precision=12.0)
    ways = {way.changes: way for way in refusal.ways}
    assert ("replace Relu by squares",) in ways
    assert ("replace Relu by SiLU",) in ways
    assert [way.trains for way in refusal.ways] == [False, *(True for _ in refusal.ways[1:])]
    assert len(refusal.ways) > 1


def test_without_advice_nothing_is_tried():
    assert refused(hecc.estimate, maximal(), precision=12.0, advice=False).ways == ()


def test_the_command_line_says_the_same(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from hecc.cli.commands import app

    monkeypatch.chdir(tmp_path)
    onnx.save(maximal(), "model.onnx")
    np.save("rows.npy", ROWS)
    result = CliRunner().invoke(
        app, ["estimate", "model.onnx", "--calibration", "rows.npy", "--precision", "12", "--json"]
    )
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["kind"] == "ImpreciseError"
    assert {
        "changes", "precision", "accuracy_loss", "seconds", "peak_memory", "key_bytes", "ring_degree", "trains",
    } == set(answer["ways"][0])  # fmt: skip
    lines = result.stderr.splitlines()
    assert "what would make it run, as tried:" in lines
    assert lines[-1].startswith("  use average pooling in place of maxima")


def test_by_decisions_the_accuracy_loss_that_works_comes_with_its_cost(network, monkeypatch):
    monkeypatch.setattr(search, "RING_DEGREES", (1 << 13, 1 << 14))
    rows = np.random.default_rng(6).normal(size=(400, 8)).clip(-4, 4)
    model = network((8,), ("gemm", 8), ("Relu",), ("gemm", 8), ("Relu",), ("gemm", 4))
    with pytest.raises(hecc.CompileError, match=r"--accuracy-loss \d") as refusal:
        hecc.estimate(model, calibration=rows, accuracy_loss=0.5)
    first = refusal.value.ways[0]
    assert first.changes == (f"ask for --accuracy-loss {refusal.value.accuracy_loss:g}",)
    assert not first.trains
    plan = hecc.compile(model, calibration=rows, accuracy_loss=first.accuracy_loss)
    assert first.seconds == plan.header.estimate.seconds
    assert any("by squares" in change for way in refusal.value.ways[1:] for change in way.changes)


def test_a_network_too_deep_for_polynomials_is_refused_with_levels(network):
    layers = [layer for _ in range(18) for layer in (("gemm", 4), ("Relu",))]
    with pytest.raises(hecc.CompileError, match="17 levels are missing") as refusal:
        hecc.compile(network((4,), *layers, ("gemm", 3)), calibration=np.random.default_rng(6).normal(size=(60, 4)))
    assert "--bootstrap" in str(refusal.value)
    assert refusal.value.__notes__ == ["`hecc estimate` tries what would make it run, and says what each way costs"]


def test_without_real_inputs_decisions_ask_for_some(network):
    with pytest.raises(hecc.CompileError, match="give some hundred as calibration"):
        hecc.compile(network((4,), ("gemm", 4), ("Relu",), ("gemm", 3)))


def test_an_operator_that_nothing_is_known_of_has_no_ways():
    model = pooled("MaxPool")
    model.graph.node[1].op_type = "Floor"
    refusal = refused(hecc.estimate, model)
    assert refusal.ways == ()
    assert not hasattr(refused(hecc.compile, model), "__notes__")


def test_a_network_that_is_too_deep_is_told_how_much_of_it_fits():
    generator = np.random.default_rng(2)
    value = "x"
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 4] x) => (float[N, 4] y) { y = Identity(x) }'
    )
    del model.graph.node[:]
    for i in range(60):
        last = "y" if i == 59 else f"a{i}"
        model.graph.node.append(onnx.helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"d{i}"], f"d{i}"))
        model.graph.node.append(onnx.helper.make_node("Mul", [f"d{i}", f"d{i}"], [last], last))
        value = last
        for name, shape in ((f"w{i}", (4, 4)), (f"b{i}", (4,))):
            array = generator.uniform(-0.5, 0.5, shape).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(array, name))
    with pytest.raises(hecc.CompileError) as refusal:
        hecc.estimate(model, calibration=generator.uniform(-1, 1, (32, 4)), precision=12.0)
    ways = [way for way in refusal.value.ways if "leave out" in way.changes[0]]
    assert len(ways) == 1, refusal.value.ways
    assert ways[0].trains


@pytest.mark.parametrize("substitute", [averaged, smoothed, lambda graph: squared(graph, {"x": ROWS})])
def test_substitutes_keep_shapes_and_leave_values_of_about_their_size(substitute):
    graph = import_model(pooled("MaxPool"))
    assert substitute(graph).outputs == graph.outputs
    before, after = graph.evaluate({"x": ROWS})["y"], substitute(graph).evaluate({"x": ROWS})["y"]
    assert before.shape == after.shape
    assert 0.1 < np.abs(after).max() / np.abs(before).max() < 10
    assert not np.array_equal(before, after)


def test_what_has_no_maxima_has_no_averages():
    assert averaged(import_model(pooled("AveragePool"))) is None


def test_large_arguments_of_activations_are_brought_near_one(monkeypatch):
    monkeypatch.setattr(search, "RING_DEGREES", (1 << 13, 1 << 14))
    text = (
        "g (float[N, 1, 8, 8] x) => (float[N, 3] y) { f = Flatten(x)  d = Gemm(f, v)  s = Sigmoid(d)  y = Gemm(s, w) }"
    )
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    draw = np.random.default_rng(1).normal
    for name, shape, size in (("v", (64, 8), 100.0), ("w", (8, 3), 0.3)):
        model.graph.initializer.append(numpy_helper.from_array(draw(0, size, shape).astype(np.float32), name))
    refusal = refused(hecc.estimate, model, precision=12.0)
    (way,) = (way for way in refusal.ways if "BatchNormalization" in way.sentence)
    assert re.match(r"keep the arguments of .*, which reach [\d.e+]+, near one, with a BatchNorm", way.sentence)
    assert way.trains
    assert way.precision == 12.0


FIRST = {"relu": "r = Relu(a)", "where": "t = Greater(x, minus)  b = MatMul(a, other)  r = Where(t, b, x)"}


def positive(first):
    """A network with a kink, in what it makes of large numbers, that no input from zero to one reaches."""
    text = f"""g (float[N, 8] x) => (float[N, 3] y) {{
        a = Mul(x, hundred)  {FIRST[first]}  d = Gemm(r, v)  s = Relu(d)  y = Gemm(s, w)
    }}"""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    draw = np.random.default_rng(1).normal
    for name, shape in {"v": (8, 8), "w": (8, 3)}.items():
        model.graph.initializer.append(numpy_helper.from_array(draw(0, 0.01, shape).astype(np.float32), name))
    for name, number in {"hundred": 100, "minus": -0.5, "other": np.eye(8)[::-1]}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(number, dtype=np.float32), name))
    return model


@pytest.mark.parametrize(("low", "reached"), [(0.0, False), (-1.0, True)])
def test_no_way_changes_a_kink_that_no_input_in_the_range_reaches(low, reached, monkeypatch):
    tried = []

    def compiled(self, changes, graph, **options):
        tried.extend(changes)
        raise hecc.CompileError("not tried here")

    monkeypatch.setattr(ways._Trials, "compiled", compiled)
    rows = np.random.default_rng(3).uniform(low, 1, (60, 8)).astype(np.float32)
    task = prepare(positive("where"), CompileOptions(calibration=rows, input_range=(low, 1.0)), lambda _: None)
    assert ways_out(task, hecc.CompileError("refused")) == ()
    assert any("SiLU" in change for change in tried)
    assert any("keep the values of" in change for change in tried) == reached


@pytest.mark.parametrize(
    ("low", "reached"),
    [(0.0, False), (-1.0, True), (np.full(8, -1e-3) + np.eye(8)[0] * 1e-3, True), (np.zeros(8), False)],
)
def test_advice_leaves_no_kink_out_that_no_input_in_the_range_reaches(low, reached, monkeypatch):
    tried = []
    monkeypatch.setattr(advice._Trial, "compiled", lambda self, what, *_, **__: tried.append(what) or (0.0, 0))
    rows = np.random.default_rng(3).uniform(low, 1, (60, 8)).astype(np.float32)
    hecc.estimate(
        positive("relu"),
        calibration=rows,
        input_range=(low, np.linspace(1, 2, 8) if np.ndim(low) else 1.0),
        precision=4.0,
    )
    assert any(what.startswith("the network without") for what in tried) == reached
