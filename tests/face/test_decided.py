"""Networks with kinks: compiled by decisions, from a call to what the client decrypts."""

import logging

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

import hecc
from hecc.compiler.approximation.search import DegreeSearch
from hecc.compiler.ckks.options import NOISE_PRECISION
from hecc.runtime.errors import CompileError, InputError

GENERATOR = np.random.default_rng(11)
ROWS = GENERATOR.uniform(-1, 1, (400, 1, 6, 6)).astype(np.float32)
TEST = GENERATOR.uniform(-1, 1, (200, 1, 6, 6)).astype(np.float32)
TEXT = """
g (float[N, 1, 6, 6] x) => (float[N, 3] y) {
    c = Conv<pads = [1, 1, 1, 1]>(x, w)
    r = Relu(c)
    p = MaxPool<kernel_shape = [2, 2], strides = [3, 3]>(r)
    f = Flatten(p)
    y = MatMul(f, v)
}
"""


def built(text):
    weights = np.random.default_rng(12)
    shapes = {"w": (4, 1, 3, 3), "v": (16, 3)}
    parsed = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {text}')
    parsed.graph.initializer.extend(
        numpy_helper.from_array(weights.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()
    )
    return parsed


@pytest.fixture(scope="module")
def network():
    return built(TEXT)


@pytest.fixture(scope="module")
def plan(network):
    return hecc.compile(network, calibration=ROWS)


def test_relu_and_maxpool_compile_as_they_are_and_keep_their_decisions(network, plan, runtime):
    facts = plan.header.estimate.agreement
    assert facts.held_back
    assert facts.rows == 120
    assert facts.kept >= facts.asked == pytest.approx(0.99)
    assert plan.header.estimate.precision_bits >= NOISE_PRECISION
    expected = runtime(network, {"x": TEST}).argmax(axis=1)
    simulated = hecc.simulate(plan, TEST)["y"].argmax(axis=1)
    assert (expected == simulated).mean() >= 0.98


@pytest.mark.slow
def test_encrypted_they_decide_as_simulated(plan, tmp_path):
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        results = client.decrypt(server.run(client.encrypt(TEST[:2])))
    np.testing.assert_allclose(results["y"], hecc.simulate(plan, TEST[:2], noise=False)["y"], atol=0.05)


def test_the_plan_tells_what_other_polynomials_would_keep_and_cost(plan):
    trials = plan.choices.polynomials
    assert sum(trial.levels is None for trial in trials) == 1
    depths, times = [trial.depth for trial in trials], [trial.seconds for trial in trials if trial.seconds is not None]
    assert depths == sorted(depths)
    assert len(times) >= 2
    assert times[0] < times[-1]


def test_what_is_said_of_decisions_survives_the_file(plan, tmp_path):
    plan.save(tmp_path / "plan.bin")
    loaded = hecc.Plan.load(tmp_path / "plan.bin")
    assert loaded.header.estimate.agreement == plan.header.estimate.agreement
    assert loaded.choices.polynomials == plan.choices.polynomials
    assert "decisions" in dict(plan.scheme.summary(plan.header))


def test_a_stated_precision_is_of_every_element_as_ever(network):
    with pytest.raises(CompileError, match="is not a polynomial"):
        hecc.compile(network, calibration=ROWS, precision=14)


def test_without_real_inputs_there_is_nothing_to_decide_on(network):
    with pytest.raises(CompileError, match=r"give some hundred as calibration, or ask for a precision"):
        hecc.compile(network)


def test_decisions_and_disclosure_exclude_each_other(network):
    with pytest.raises(InputError, match="leave one out"):
        hecc.compile(network, calibration=ROWS, accuracy_loss=1, disclose=10)


@pytest.mark.parametrize("points", [0, -1, 50, float("nan")])
def test_losses_that_make_no_sense_are_refused(network, points):
    with pytest.raises(InputError, match="points"):
        hecc.compile(network, calibration=ROWS, accuracy_loss=points)


def test_right_answers_may_be_given(network, runtime):
    truth = runtime(network, {"x": ROWS}).argmax(axis=1)
    plan = hecc.compile(network, calibration=ROWS, accuracy_loss=3, calibration_labels=truth)
    assert plan.header.estimate.agreement.labelled
    with pytest.raises(InputError, match="400 calibration inputs"):
        hecc.compile(network, calibration=ROWS, calibration_labels=truth[:9])
    with pytest.raises(InputError, match=r"^calibration_labels from 1 to 3; the network has the classes 0 to 2"):
        hecc.compile(network, calibration=ROWS, calibration_labels=truth + 1)


def test_an_interruption_ends_the_search_with_the_best_so_far(network, monkeypatch, caplog):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(DegreeSearch, "_lower", interrupted)
    with caplog.at_level(logging.WARNING):
        plan = hecc.compile(network, calibration=ROWS)
    assert plan.header.estimate.agreement.kept >= 0.99
    assert "best polynomials so far" in caplog.text


def test_smooth_networks_may_be_compiled_by_decisions_too():
    smooth = built(TEXT.replace("Relu", "Tanh").replace("MaxPool", "AveragePool"))
    precise, decided = (hecc.compile(smooth, calibration=ROWS, **asked) for asked in ({}, {"accuracy_loss": 1}))
    assert decided.header.estimate.depth < precise.header.estimate.depth
    assert decided.header.estimate.agreement.kept >= 0.99


def test_a_search_goes_on_from_a_plan(network, plan, tmp_path):
    plan.save(tmp_path / "plan.bin")
    recorded = hecc.Plan.load(tmp_path / "plan.bin").choices.functions
    assert recorded == plan.choices.functions
    assert len(recorded) > 1
    again = hecc.compile(network, calibration=ROWS, search_from=tmp_path / "plan.bin")
    assert again.header.estimate.depth <= plan.header.estimate.depth
    assert again.header.estimate.agreement.kept >= 0.99


def test_a_search_cannot_go_on_from_other_plans(network, plan):
    with pytest.raises(InputError, match="search_from: the other plan does not tell of a search"):
        hecc.compile(network, calibration=ROWS, search_from=hecc.compile(network, calibration=ROWS, precision=3))
    with pytest.raises(InputError, match="does not tell of a search"):
        hecc.compile(network, calibration=ROWS, search_from=plan.client())
    with pytest.raises(InputError, match="no polynomials of this network are chosen by decisions"):
        hecc.compile(network, calibration=ROWS, precision=3, search_from=plan)
    other = built(TEXT.replace("strides = [3, 3]", "strides = [3, 3], ceil_mode = 0"))
    with pytest.raises(InputError, match="the other plan is of another network"):
        hecc.compile(other, calibration=ROWS, search_from=plan)
