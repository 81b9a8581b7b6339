"""Approximation: the fewest levels that are precise enough, on intervals that hold what was seen."""

import logging

import numpy as np
import pytest

from hecc.compiler.approximation.layers import Fit, FittedLayer
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.nodes import AffineNode, BootstrapNode, ChebyshevNode, FunctionNode, QuadraticNode
from hecc.passes.ckks.agreement import rows_outside
from hecc.passes.ckks.approximate import Approximation
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.fuse_affine import fuse_affine
from hecc.runtime.errors import CompileError

ROWS = {"x": np.random.default_rng(3).uniform(-1, 1, (200, 8))}
DECLARED = {"x": (-1.0, 1.0)}


def activate(build, name, value, function, **attributes):
    expression = Primitive(function, tuple(attributes.items()), ARGUMENT)
    return build.add(FunctionNode, name, build.shapes[value], value, expression)


def network(build, *functions, gain=1.0):
    """Dense layers with an activation behind each but the last."""
    value = build.input("x", 8)
    for i, function in enumerate(functions):
        value = activate(build, f"f{i}", build.dense(f"d{i}", value, 8), function)
    return build.graph(build.scale("y", build.dense("last", value, 3), gain))


def approximated(graph, bits, margin=0.25, rows=ROWS, declared=None):
    return Approximation(graph, rows, declared or DECLARED, margin).at(bits)


def degrees(graph):
    return {
        n.output.name: len(graph.parameters[n.coefficients]) - 1 for n in graph.nodes if isinstance(n, ChebyshevNode)
    }


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_the_error_is_half_of_what_is_allowed_at_the_most(build, bits):
    graph = network(build, "tanh", "sigmoid")
    result = approximated(graph, bits)
    exact, found = graph.evaluate(ROWS)["y"], result.graph.evaluate(ROWS)["y"]
    error = (np.abs(found - exact) / np.ptp(exact, axis=0)).max()
    assert error == pytest.approx(result.error, rel=1e-6)
    assert error <= 0.5 * 2.0**-bits


def test_more_precision_takes_more_levels_and_no_more_than_that(build):
    graph = network(build, "tanh", "tanh", "tanh")
    depths = [max(multiplicative_depth(fuse_affine(approximated(graph, b).graph)).values()) for b in (3, 6, 10, 14, 18)]
    assert depths == sorted(depths)
    assert len(set(depths)) >= 4


def test_a_level_less_anywhere_would_not_be_enough(build):
    # The last activation hardly matters: it gets by with less than the first one.
    value = build.input("x", 8)
    first = activate(build, "first", build.dense("d", value, 8), "tanh")
    second = activate(build, "second", build.dense("e", first, 8), "tanh")
    graph = build.graph(build.total("y", (1.0, first), (0.001, second)))
    found = degrees(approximated(graph, 10).graph)
    assert found["first"] > 7
    assert found.get("second", 1) <= 3


def test_odd_functions_have_odd_polynomials(build):
    result = approximated(network(build, "tanh"), 12)
    (series,) = [node for node in result.graph.nodes if isinstance(node, ChebyshevNode)]
    coefficients = result.graph.parameters[series.coefficients]
    assert series.interval[0] == -series.interval[1]
    assert not coefficients[::2].any()
    assert np.all(coefficients[1::2] != 0)


def test_the_normalisation_is_fused_and_bears_the_name_of_the_layer_before(build):
    graph = fuse_affine(approximated(network(build, "tanh"), 8).graph)
    assert [node.kind for node in graph.nodes] == ["input", "affine", "chebyshev", "affine"]
    assert [node.source.name for node in graph.nodes] == ["/x", "/d0", "/f0", "/y"]
    values = graph.evaluate(ROWS)
    assert np.abs(values[graph.nodes[1].output.name]).max() < 1


def test_a_polynomial_of_degree_two_is_a_monic_square(build):
    graph = network(build, "softplus")
    result = approximated(graph, 4).graph
    (square,) = [node for node in result.nodes if isinstance(node, QuadraticNode)]
    assert result.parameters[square.coefficients[2]] == 1.0
    assert not degrees(result)
    assert max(multiplicative_depth(fuse_affine(result)).values()) == 3


def test_what_is_linear_where_its_values_are_is_affine(build):
    value = build.scale("high", build.input("x", 8), 1.0, 5.0)
    graph = build.graph(build.scale("y", activate(build, "f", value, "relu"), 2.0))
    result = fuse_affine(approximated(graph, 20).graph)
    assert [type(node) for node in result.nodes[1:]] == [AffineNode]
    np.testing.assert_allclose(result.evaluate(ROWS)["y"], graph.evaluate(ROWS)["y"], atol=1e-9)


def test_an_interval_does_not_reach_beyond_what_is_proved(build):
    # Inputs can be declared from -1 to 1, and are seen to fill that: no margin is needed.
    graph = build.graph(activate(build, "y", build.scale("s", build.input("x", 8), 1.0, 1.0), "exp"))
    (series,) = [n for n in approximated(graph, 12, margin=1.0).graph.nodes if isinstance(n, ChebyshevNode)]
    assert series.interval == pytest.approx((0.0, 2.0))
    (wider,) = [
        n
        for n in approximated(graph, 12, margin=1.0, declared={"x": (-9.0, 9.0)}).graph.nodes
        if isinstance(n, ChebyshevNode)
    ]
    assert wider.interval[0] < -0.9
    assert wider.interval[1] > 2.9


def test_a_wider_margin_makes_a_wider_interval(build):
    graph = network(build, "tanh")
    intervals = []
    # Of so few rows there is no tail to go by, which would ask for more than the first of the margins.
    rows = {"x": ROWS["x"][:40]}
    for margin in (0.25, 1.0):
        result = approximated(graph, 8, margin, rows, declared={"x": (-50.0, 50.0)})
        (series,) = [node for node in result.graph.nodes if isinstance(node, ChebyshevNode)]
        intervals.append(series.interval[1])
    assert intervals[1] > 1.4 * intervals[0]


def test_a_layer_with_values_near_the_edge_is_named(build, caplog):
    caplog.set_level(logging.WARNING)
    graph = network(build, "tanh")
    declared = {"x": (-100.0, 100.0)}
    approximated(graph, 8, declared=declared)
    assert not caplog.records
    rows = ROWS["x"].copy()
    rows[17] *= 3
    approximated(graph, 3, rows={"x": rows}, declared=declared)
    (record,) = caplog.records
    caplog.clear()
    Approximation(graph, {"x": rows}, declared, 0.25, quiet=True).at(3)
    assert not caplog.records
    assert "Op '/f0'" in record.getMessage()
    assert "1 of 200 calibration inputs take the x of tanh(x) from" in record.getMessage()
    assert "about 5 rows in a thousand may be like them" in record.getMessage()


@pytest.mark.parametrize("draw", ["uniform", "normal", "laplace"])
@pytest.mark.parametrize("seed", range(4))
def test_rows_that_are_like_the_others_are_not_warned_of(build, caplog, draw, seed):
    caplog.set_level(logging.WARNING)
    rows = {"x": getattr(np.random.default_rng(seed), draw)(size=(200, 8))}
    approximated(network(build, "tanh", "sigmoid", "tanh"), 8, rows=rows, declared={"x": (-100.0, 100.0)})
    assert not caplog.records


def test_a_precision_that_cannot_be_had_is_refused_with_what_can_be_had(build):
    graph = network(build, "tanh", "relu")
    with pytest.raises(CompileError) as refusal:
        approximated(graph, 12)
    sentence = str(refusal.value)
    assert sentence.startswith("Op '/f1' (opset 13) is not a polynomial")
    had = float(sentence.split(" bits of precision at the most")[0].split()[-1])
    assert 4 < had < 12
    assert "; replace it by a square or a smooth activation such as SiLU and train again, or compile it" in sentence
    assert sentence.endswith("compute Op exactly, at any depth")
    assert approximated(graph, had - 0.5).error <= 2.0 ** -(had + 0.5)
    with pytest.raises(CompileError, match=f"leave the network {had:.1f} bits of precision at the most, not"):
        approximated(graph, had + 0.1)


@pytest.mark.parametrize(
    ("functions", "reserve"),
    [(("relu",), 0.0), (("relu",), 0.75), (("relu", "relu"), 0.0), (("relu", "sigmoid", "relu", "abs"), 0.75)],
    ids=str,
)
def test_more_than_a_refusal_names_cannot_be_had_and_a_little_less_can(build, functions, reserve):
    # More rows than the search looks at, and some of them far out.
    rows = {"x": np.random.default_rng(4).standard_t(4, (900, 8)).clip(-9, 9)}
    declared = {"x": (-9.0, 9.0)}
    graph = network(build, *functions)
    with pytest.raises(CompileError) as refusal:
        Approximation(graph, rows, declared, 0.25).at(14, reserve)
    had = float(str(refusal.value).split(" bits of precision at the most")[0].split()[-1])
    result = Approximation(graph, rows, declared, 0.25).at(had - 1.5, reserve)
    assert result.error <= 0.5 * 2.0 ** -(had - 1.5 + reserve)
    with pytest.raises(CompileError, match="bits of precision at the most"):
        Approximation(graph, rows, declared, 0.25).at(had + 0.1, reserve)
    others = sum(name in {"relu", "abs"} for name in functions) - 1
    counted = {0: ") is not", 1: "), like 1 other, is not", 2: "), like 2 others, is not"}[others]
    assert counted in str(refusal.value)
    assert f"replace {'them' if others else 'it'} by" in str(refusal.value)


def test_a_function_that_overflows_on_its_interval_is_refused(build):
    value = build.scale("large", build.input("x", 8), 1000.0)
    graph = build.graph(activate(build, "y", value, "exp"))
    with pytest.raises(CompileError, match=r"Op '/y' \(opset 13\) is not finite everywhere between -?\d"):
        approximated(graph, 8)


def test_a_graph_without_functions_is_left_as_it_is(build):
    graph = build.graph(build.dense("y", build.square("s", build.input("x", 4)), 2))
    result = Approximation(graph, {"x": np.ones((2, 4))}, DECLARED, 0.25).at(12)
    assert result.graph is graph
    assert result.error == 0.0


def test_where_it_must_be_proved_an_interval_is_all_that_any_input_can_cause(build):
    graph = network(build, "tanh", "sigmoid")
    declared = {"x": (-3.0, 3.0)}
    result = Approximation(graph, ROWS, declared, 0.25, proved=True).at(8)
    corners = {"x": np.random.default_rng(4).choice([-3.0, 3.0], (2000, 8))}
    values = result.graph.evaluate(corners)
    series = [node for node in result.graph.nodes if isinstance(node, ChebyshevNode)]
    assert len(series) == 2
    for node in series:
        assert np.abs(values[node.value]).max() <= 1
        # Much of it is attained, and the calibration inputs alone would not have shown it.
        assert np.abs(values[node.value]).max() > 0.5
    # A polynomial is close to its function for every input, not only for those that were seen.
    exact = graph.evaluate(corners)
    assert np.abs(values["f0"] - exact["f0"]).max() <= 1 / 8
    seen = max(np.abs(ROWS["x"] @ graph.parameters["d0.w"]).max(), 0)
    assert series[0].interval[1] > 1.5 * seen
    assert "; the polynomial for Op '/f" in result.remark
    assert "declare a narrower input range" in result.remark


def test_what_is_observed_only_has_no_remark(build):
    assert approximated(network(build, "tanh"), 8).remark == ""


def test_a_polynomial_of_degree_two_that_is_proved_stays_a_series(build):
    graph = network(build, "softplus")
    result = Approximation(graph, ROWS, {"x": (-0.5, 0.5)}, 0.25, proved=True).at(3).graph
    assert not [node for node in result.nodes if isinstance(node, QuadraticNode)]


@pytest.mark.filterwarnings("error")
def test_where_intervals_overflow_nothing_is_proved_and_numpy_does_not_warn(build):
    x = build.input("x", 8)
    p = build.product("p", x, x)
    q = build.scale("q", build.product("pp", p, p), 1.0)
    graph = build.graph(activate(build, "y", build.scale("s", build.product("r", q, q), 1.0), "tanh"))
    (series,) = [
        node
        for node in approximated(graph, 8, declared={"x": (-1e60, 1e60)}).graph.nodes
        if isinstance(node, ChebyshevNode)
    ]
    assert 1 < series.interval[1] < 2


@pytest.mark.parametrize(("function", "bits"), [("tanh", 8), ("relu", 4)])
def test_rows_leave_an_interval_as_rarely_as_is_expected(build, function, bits):
    generator = np.random.default_rng(8)
    graph = network(build, function, function)
    result = approximated(graph, bits, rows={"x": generator.normal(size=(256, 8))}, declared={"x": (-50.0, 50.0)})
    values = result.graph.evaluate({"x": generator.normal(size=(20_000, 8))})
    normalised = [node.value for node in result.graph.nodes if isinstance(node, ChebyshevNode)]
    outside = np.any([np.abs(values[name]).max(axis=1) > 1 for name in normalised], axis=0).mean()
    assert 1e-4 < result.outside < 2e-3
    assert outside <= result.outside


def test_what_is_expected_outside_is_known_of_enough_rows_that_are_not_proved(build):
    graph = network(build, "tanh")
    wide = {"x": (-50.0, 50.0)}
    assert approximated(graph, 8, rows={"x": ROWS["x"][:40]}, declared=wide).outside is None
    assert approximated(graph, 8, declared=wide).outside > 0
    assert Approximation(graph, ROWS, DECLARED, 0.25, proved=True).at(4).outside == 0.0


def test_what_is_proved_no_row_is_expected_to_leave(build):
    graph = build.graph(activate(build, "y", build.scale("s", build.input("x", 8), 1.0, 1.0), "exp"))
    assert approximated(graph, 12).outside == 0.0


@pytest.mark.parametrize("function", ["tanh", "relu", "sigmoid", "softplus"])
def test_no_polynomial_explodes_just_outside_what_was_seen(build, function):
    graph = network(build, function, function)
    rows = {"x": np.random.default_rng(9).normal(size=(256, 8))}
    for bits in (3, 5):
        result = approximated(graph, bits, rows=rows, declared={"x": (-50.0, 50.0)}).graph
        exact, values = graph.evaluate(rows), result.evaluate(rows)
        for node in result.nodes:
            if not isinstance(node, ChebyshevNode):
                continue
            seen = np.abs(values[node.value]).max()
            assert seen < 0.92
            spans = np.ptp(exact[node.output.name])
            u = np.concatenate([np.linspace(-1, -seen, 200), np.linspace(seen, 1, 200)])
            there = np.polynomial.chebyshev.chebval(u, result.parameters[node.coefficients])
            assert np.abs(there).max() < 3 * spans


def test_a_polynomial_that_explodes_where_nothing_was_seen_is_refused(build):
    graph = network(build, "tanh")
    layer = FittedLayer(graph.nodes[2], ROWS["x"] @ np.eye(8), (-9.0, 9.0), 0.25)
    fit = layer.fit((7,), "least squares")
    assert layer.admits(fit)
    exploding = np.zeros(32)
    exploding[: len(fit.stages[0])] = fit.stages[0]
    exploding[31] = 2.5
    assert not layer.admits(Fit(fit.centre, fit.radius, (exploding,)))


PHASE = 0.225


def bent(graph, bits, rows=ROWS):
    return Approximation(graph, rows, DECLARED, 0.25, phase=PHASE).at(bits)


@pytest.mark.parametrize("function", ["relu", "tanh", "sigmoid", "softplus"])
def test_behind_bootstraps_polynomials_are_fitted_in_their_sine(build, function):
    graph = network(build, function, function)
    result = bent(graph, 5).graph
    sines = {node.output.name: node for node in result.nodes if isinstance(node, BootstrapNode)}
    series = [node for node in result.nodes if isinstance(node, ChebyshevNode)]
    assert len(sines) == len(series) == 2
    assert {node.value for node in series} == sines.keys()
    exact, found = graph.evaluate(ROWS)["y"], result.evaluate(ROWS)["y"]
    assert (np.abs(found - exact) / np.ptp(exact, axis=0)).max() <= 2.0**-5


def test_behind_a_bootstrap_a_polynomial_is_bounded_whatever_comes(build):
    graph = network(build, "relu")
    far = {"x": 1000 * ROWS["x"]}
    at_most = 2 * np.abs(graph.evaluate(ROWS)["f0"]).max()
    assert np.abs(bent(graph, 5).graph.evaluate(far)["f0"]).max() < at_most
    assert np.abs(approximated(graph, 5).graph.evaluate(far)["f0"]).max() > 1e6 * at_most


def test_what_goes_a_little_farther_than_the_interval_is_no_farther_than_the_sine(build):
    """A tenth beyond the interval the function is still approximated, and nothing counts as outside."""
    graph = network(build, "relu")
    result = bent(graph, 6).graph
    values = result.evaluate(ROWS)
    (node,) = [node for node in result.nodes if isinstance(node, BootstrapNode)]
    farther = {"x": ROWS["x"] * 1.08 / np.abs(values[node.value]).max()}
    found, exact = result.evaluate(farther), graph.evaluate(farther)
    assert np.abs(found[node.value]).max() > 1.05
    assert not rows_outside(result, found).any()
    assert (np.abs(found["y"] - exact["y"]) / np.ptp(exact["y"], axis=0)).max() < 2.0**-4
    assert rows_outside(result, result.evaluate({"x": 4 * ROWS["x"]})).any()


def test_a_function_that_is_not_defined_as_far_as_the_sine_goes_is_refused(build):
    rows, declared = {"x": 0.515 + 0.485 * ROWS["x"]}, {"x": (0.03, 1.0)}
    logarithm = activate(build, "f", build.scale("d", build.input("x", 8), 1.0), "log")
    graph = build.graph(build.dense("y", logarithm, 3))
    assert Approximation(graph, rows, declared, 0.25).at(5).levels
    with pytest.raises(CompileError, match="is not finite everywhere"):
        Approximation(graph, rows, declared, 0.25, phase=PHASE)
