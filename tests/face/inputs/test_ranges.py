"""Ranges of inputs: per column where a table needs it, with a margin that is stated and kept."""

import logging

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.inputs.ranges import declared_ranges, edge_rows
from hecc.inputs.sources import Form

SIZES = np.array([1e-3, 1, 50, 3e4, 1e6, 0.2])
ROWS = np.abs(np.random.default_rng(1).normal(1, 0.3, (300, 6))) * SIZES
FORM = Form("x", (6,), None)


def network(*, scaler=True, activation="Mul", columns=6):
    """A scaler, a layer, an activation and another layer, as scikit-learn's exporter writes them."""
    generator = np.random.default_rng(2)
    node = helper.make_node
    nodes = [node("Sub", ["x", "mean"], ["a"]), node("Div", ["a", "std"], ["s"])] if scaler else []
    nodes += [
        node("MatMul", ["s" if scaler else "x", "w1"], ["h"]),
        node(activation, ["h", "h"] if activation == "Mul" else ["h"], ["q"]),
        node("MatMul", ["q", "w2"], ["y"]),
    ]
    weights = {
        "w1": generator.normal(0, 0.4, (columns, 8)),
        "w2": generator.normal(0, 0.4, (8, 2)),
        **({"mean": ROWS.mean(0), "std": ROWS.std(0)} if scaler else {}),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def clear(rows, activation=np.square):
    """What the network computes."""
    generator = np.random.default_rng(2)
    first, second = (generator.normal(0, 0.4, shape) for shape in ((6, 8), (8, 2)))
    return activation((rows - ROWS.mean(0)) / ROWS.std(0) @ first) @ second


@pytest.fixture(scope="module")
def plan():
    return hecc.compile(network(), calibration=ROWS[:200])


def test_a_scaler_in_the_network_costs_nothing(plan):
    """Columns from a thousandth to a million, which were refused for too little precision."""
    standardised = (ROWS - ROWS.mean(0)) / ROWS.std(0)
    other = hecc.compile(network(scaler=False), calibration=standardised[:200])
    assert plan.header.keys.ring_degree == other.header.keys.ring_degree == 8192
    assert plan.header.estimate.depth == other.header.estimate.depth
    assert plan.header.estimate.precision_bits > 12
    (source,) = plan.header.inputs
    assert source.ranges is not None
    assert other.header.inputs[0].ranges is None
    found = hecc.simulate(plan, ROWS[:200])["y"]
    expected = clear(ROWS[:200])
    assert np.abs(found - expected).max() < 2**-12 * np.ptp(expected, axis=0).max()


@pytest.mark.parametrize("device", ["native", "seal"])
def test_columns_of_all_sizes_are_encrypted(plan, tmp_path, device):
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys", device=device)
    with hecc.Server(plan, keys.evaluation, device=device) as server:
        outputs = client.decrypt(server.run(client.encrypt(ROWS[:3])))
    expected = clear(ROWS[:3])
    assert np.abs(outputs["y"] - expected).max() < 2**-11 * np.ptp(clear(ROWS), axis=0).max()


def test_a_row_in_the_margin_is_answered_and_one_beyond_it_is_named(plan):
    row = ROWS[:200].mean(axis=0)
    width = np.ptp(ROWS[:200], axis=0)
    for column in range(6):
        inside, outside = np.tile(row, (2, 1)), np.tile(row, (2, 1))
        inside[1, column] = ROWS[:200, column].max() + 0.24 * width[column]
        outside[1, column] = ROWS[:200, column].max() + 0.3 * width[column]
        expected = clear(inside)
        found = hecc.simulate(plan, inside)["y"]
        assert np.abs(found - expected).max() < 2**-10 * max(np.abs(expected).max(), 1)
        with pytest.raises(hecc.InputError, match=f"input 'x', row 1, column {column}: .* is outside .*; preprocess"):
            hecc.simulate(plan, outside)


@pytest.mark.parametrize("activation", ["Tanh", "Sigmoid"])
def test_activations_hold_what_is_in_the_margin(activation):
    plan = hecc.compile(network(activation=activation), calibration=ROWS[:200], precision=8)
    (source,) = plan.header.inputs
    (low, high), rows = source.ends, np.repeat(ROWS[:40], 12, axis=0)
    for row in range(len(rows)):
        rows[row, row // 2 % 6] = (low, high)[row % 2][row // 2 % 6]
    function = np.tanh if activation == "Tanh" else lambda x: 1 / (1 + np.exp(-x))
    expected = clear(rows, function)
    outputs = hecc.simulate(plan, rows)
    assert not outputs.lost
    assert np.abs(outputs["y"] - expected).max() < 2**-6 * np.ptp(expected, axis=0).max()


def ranges(rows, margin=None, form=FORM, given=None):
    return declared_ranges(given, {form.name: rows}, [form], [], margin)[form.name]


def test_the_margin_is_a_part_of_the_width_of_each_column():
    lows, highs = ranges(ROWS, 0.5)
    width = np.ptp(ROWS, axis=0)
    np.testing.assert_allclose(highs, ROWS.max(axis=0) + 0.5 * width, rtol=0.02)
    assert (lows == np.maximum(lows, 0)).all()  # no column has a negative value
    shifted = ROWS - ROWS.mean(axis=0)
    lows, highs = ranges(shifted, 0.5)
    assert (lows <= shifted.min(axis=0) - 0.5 * width).all()
    assert (lows >= shifted.min(axis=0) - 0.53 * width).all()


def test_without_a_margin_a_range_is_what_was_seen():
    lows, highs = ranges(ROWS, 0)
    np.testing.assert_array_equal(lows, ROWS.min(axis=0))
    np.testing.assert_array_equal(highs, ROWS.max(axis=0))
    assert edge_rows({"x": ROWS}, {"x": (lows, highs)}, 0, [FORM]) is None


def test_the_plan_does_not_tell_the_largest_value_of_a_single_row():
    lows, highs = ranges(ROWS)
    seen = {*ROWS.reshape(-1).tolist()}
    assert not seen & {*lows.tolist(), *highs.tolist()}
    # With two digits behind the first one of the width.
    assert all(float(f"{high:.3g}") == high for high in highs)


def test_columns_of_one_size_have_one_range():
    """Pixels in a row, or what was standardised: none of them is refused for what the others may be."""
    generator = np.random.default_rng(0)
    pixels = np.minimum(generator.exponential(4, (100, 64)), 16.0)
    pixels[:, 0] = 0
    assert ranges(pixels, form=Form("x", (64,), None)) == (0.0, 20.0)
    low, high = ranges(generator.normal(0, 1, (300, 6)))
    assert np.ndim(low) == np.ndim(high) == 0
    assert low < -3
    assert high > 3


def test_images_and_signals_have_one_range_and_no_margin_of_their_own():
    image = Form("x", (2, 3), None)
    rows = ROWS.reshape(-1, 2, 3)
    assert ranges(rows, form=image) == (ROWS.min(), ROWS.max())
    low, high = ranges(rows, 0.1, form=image)
    assert low == 0
    assert high == pytest.approx(1.1 * np.ptp(ROWS) + ROWS.min(), rel=0.02)


def test_a_column_that_never_varied_is_named(caplog):
    rows = ROWS.copy()
    rows[:, 2] = 7.0
    with caplog.at_level(logging.WARNING):
        lows, highs = ranges(rows, form=Form("x", (6,), None, columns=tuple("abcdef")))
    assert (lows[2], highs[2]) == (0.0, 14.0)
    assert "the same on all calibration inputs: column 2 ('c');" in caplog.text


def test_ranges_may_be_stated_for_each_column(tmp_path):
    lows, highs = np.zeros(6), 3 * SIZES
    plan = hecc.compile(network(), calibration=ROWS[:200], input_range=(lows, highs))
    assert plan.header.inputs[0].ranges.highs == tuple(highs)
    np.savetxt(tmp_path / "ranges.csv", [lows[::-1], highs[::-1]], delimiter=",", header="f,e,d,c,b,a", comments="")
    np.savetxt(tmp_path / "table.csv", ROWS[:200], delimiter=",", header="a,b,c,d,e,f", comments="")
    named = hecc.compile(network(), calibration=tmp_path / "table.csv", input_range=tmp_path / "ranges.csv")
    assert named.header.inputs[0].columns == tuple("abcdef")
    np.testing.assert_allclose(named.header.inputs[0].ranges.highs, highs)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ((np.zeros(5), np.ones(6)), "is not two numbers; give the lowest and the highest value, each for all elements"),
        ((np.zeros(6), np.array([1, 1, 0, 1, 1, 1])), "input 'x': the range of column 2, 0 to 0, is empty"),
        ((0, np.array([1, 1, np.inf, 1, 1, 1])), "input 'x': the range of column 2, 0 to inf, is empty or has no end"),
        ((1, 0), "input 'x': the range 1 to 0 is empty"),
    ],
)
def test_stated_ranges_that_are_none_are_refused(given, fault):
    with pytest.raises(hecc.InputError, match=fault):
        ranges(ROWS, given=given)


@pytest.mark.parametrize("margin", [-0.1, 11, "much", float("nan")])
def test_a_margin_is_a_part(margin):
    with pytest.raises(hecc.InputError, match=r"a margin of .*; give a part of the width of the calibration inputs"):
        hecc.compile(network(), calibration=ROWS, margin=margin)


def test_edges_have_one_column_at_the_end_of_its_range():
    declared = ranges(ROWS)
    edges = edge_rows({"x": ROWS}, {"x": declared}, None, [FORM])["x"]
    moved = (edges < ROWS.min(axis=0)) | (edges > ROWS.max(axis=0))
    assert (moved.sum(axis=1) <= 1).all()
    assert moved.any(axis=0).all()
    assert ((edges >= declared[0]) & (edges <= declared[1])).all()
    assert len(edges) == 12 * len(ROWS)
    wide = np.tile(ROWS, (1, 2000))
    form = Form("x", (12000,), None)
    some = edge_rows({"x": wide}, {"x": ranges(wide, form=form)}, None, [form])["x"]
    assert some.size <= 1 << 22
