"""Arrays as users have them: of any type and origin, with values that are missing, at the ends of the range."""

import logging

import numpy as np
import pandas
import pytest
import scipy.sparse
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.inputs.labels import class_numbers, load_truth
from hecc.inputs.sources import Form, load_inputs
from hecc.measure.scoring import scoring
from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.ckks.plan.header import CkksInput
from hecc.runtime.errors import InputError
from hecc.runtime.figures import apart
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.tensors import input_rows

ROWS = np.array([[0.1, -0.1, 0.03], [0.02, 0.07, -0.05]])


def rows(given, low=-0.1, high=0.1):
    """What a plan with one input of three values takes, by the face's way to it."""
    layout = vector_layout((3,), 4)
    signature = CkksInput(name="x", shape=(3,), layout=layout, limbs=1, scale=1, low=low, high=high)
    return input_rows(load_inputs(given, [Form("x", (3,), None, (low, high))]).tensors, [signature])["x"]


@pytest.mark.parametrize("end", [0.1, 0.7, 1 / 3, 1e-30, 12345.678])
@pytest.mark.parametrize("calibrated", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("encrypted", [np.float16, np.float32, np.float64, ">f4", np.longdouble])
def test_the_ends_of_a_range_survive_a_change_of_type(end, calibrated, encrypted):
    """What one type calibrates, another may have rounded outwards."""
    if np.float16 in (calibrated, encrypted):
        end = min(max(end, 1e-3), 1e3)
    measured = np.array([-end, end, 0], dtype=calibrated).astype(np.float64)
    found = rows(measured.astype(encrypted)[np.newaxis], measured.min(), measured.max())
    assert measured.min() <= found.min()
    assert found.max() <= measured.max()
    np.testing.assert_allclose(found[0], measured, rtol=4 * np.finfo(encrypted).eps, atol=1e-300)


def test_single_precision_stays_single_in_lists_and_tables():
    single = ROWS.astype(np.float32)
    assert float(single.max()) > 0.1
    for given in (single.tolist(), single.astype(np.float64), pandas.DataFrame(single)):
        assert rows(given).max() == 0.1
    # And a range that single precision measured takes what it was rounded from.
    assert rows(np.array([[0.7, 0.0, 0.0]]), -1, float(np.float32(0.7))).max() == np.float32(0.7)


@pytest.mark.parametrize("factor", [1 + 1e-6, 1 + 1e-9, 1 + 1e-12])
def test_values_outside_are_refused_with_the_digits_that_show_it(factor):
    with pytest.raises(InputError) as refusal:
        rows(ROWS * factor)
    lowest, highest = str(refusal.value).split("values from ")[1].split(" are outside ")[0].split(" to ")
    assert (float(lowest), float(highest)) != (-0.1, 0.1)
    assert "are outside -0.1 to 0.1, first in row 0, column 0; preprocess" in str(refusal.value)


def test_numbers_that_differ_look_different():
    assert apart(0.1, 0.1) == ("0.1", "0.1")
    assert apart(1.0, 2.0) == ("1", "2")
    assert apart(0.1, float(np.float32(0.1))) == ("0.1", "0.100000001")
    one, other = apart(1.0, np.nextafter(1.0, 2.0))
    assert float(one) < float(other)


def test_raw_values_are_rounded_before_they_are_preprocessed():
    """The mean cancels what is common, and leaves the rounding."""
    preprocessing = Preprocessing(mean=(1000.0,), std=(0.01,))
    raw = 1000 + np.array([[0.7, -0.7, 0.1]])
    exact = preprocessing.apply(raw, (3,))
    form = Form("x", (3,), preprocessing, (float(exact.min()), float(exact.max())))
    single = preprocessing.apply(raw.astype(np.float32), (3,))
    assert single.max() > exact.max() or single.min() < exact.min()
    found = load_inputs(raw.astype(np.float32), [form], raw=True).tensors["x"]
    assert exact.min() <= found.min()
    assert found.max() <= exact.max()
    assert load_inputs(raw + 1e-3, [form], raw=True).tensors["x"].max() > exact.max()


@pytest.mark.parametrize(
    "given",
    [
        np.ma.masked_array(ROWS, mask=[[1, 0, 0], [0, 0, 0]]),
        {"x": np.ma.masked_array(ROWS, mask=[[1, 0, 0], [0, 0, 0]])},
        [np.ma.masked_array(ROWS[0], mask=[0, 1, 0]), ROWS[1]],
        [[np.ma.masked_array(ROWS[0], mask=[0, 1, 0])]],
        np.ma.masked_greater(ROWS, 0.09)[0],
    ],
)
def test_masked_values_are_not_used(given):
    with pytest.raises(InputError, match=r"inputs for 'x': 1 masked value; fill them in as in training"):
        rows(given)


def test_arrays_of_all_kinds_are_the_same_rows():
    masked = np.ma.masked_array(ROWS)
    wide = np.repeat(ROWS, 2, axis=1)
    for given in (
        masked,
        np.asfortranarray(ROWS),
        wide[:, ::2],
        ROWS[::-1][::-1],
        ROWS.astype(">f8"),
        ROWS.tolist(),
        pandas.DataFrame(ROWS, index=[7, 3]),
    ):
        np.testing.assert_array_equal(rows(given), ROWS)
    np.testing.assert_array_equal(rows(ROWS[0]), ROWS[:1])


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_an_array():
    np.testing.assert_array_equal(rows(np.matrix(ROWS)), ROWS)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([[0.1, 0.1], [0.1]], r"list that is no array of numbers \(.*\); give rows of one shape"),
        (scipy.sparse.csr_matrix(ROWS), r"a sparse matrix; give all elements, as `x\.toarray\(\)`"),
        (scipy.sparse.coo_array(ROWS), "a sparse matrix"),
        (pandas.DataFrame(ROWS).astype("Float64").mask(ROWS > 0.09), "row 0, column 0: a value is missing"),
        (ROWS.astype(object), "dtype object; give floating-point numbers"),
        (ROWS.astype(str), "give floating-point numbers"),
        (ROWS + 0j, "dtype complex128"),
        (ROWS > 0, "dtype bool"),
        (np.zeros((1, 3), "M8[s]"), "dtype datetime64"),
        (np.zeros(3, dtype=[("a", "f4")]), "give floating-point numbers"),
        (ROWS[:0], "an array without rows"),
        (np.float64(0), r"shape \(\); give \(3,\) for one example"),
        (np.full((1, 3), np.nan), "not a number or infinite"),
        (np.full((1, 3), np.longdouble("1e400")), "not a number or infinite|outside"),
        (np.full((1, 3), 2**63 - 1), "are outside"),
        (None, "dtype object"),
        (iter(ROWS), "dtype object"),
        ({}, "nothing was given; the network takes 'x'"),
        ({"x": ROWS, "y": ROWS}, "'x', 'y' were given"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_in_a_sentence(given, fault):
    with pytest.raises(InputError, match=fault):
        rows(given)


@pytest.mark.parametrize(
    ("truth", "fault"),
    [
        (np.ma.masked_array([0, 1, 2], mask=[1, 0, 0]), "labels: 1 masked value"),
        (np.array([1, 2, np.nan]), "labels: a value is not a number"),
        (np.array([1, np.inf, 2]), "labels: a value is not a number"),
        (np.array([0, 1, 1e300]), "labels of dtype float64"),
        (np.array([0, 1, 2**63 + 5], dtype=np.uint64), "labels from 0 to 9223372036854775813"),
        ([[1], [2, 3], 1], "labels: list that is no array of numbers"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_labels_that_are_not_there_are_not_made_up(plan, truth, fault):
    with pytest.raises(InputError, match=fault):
        scoring(plan.header.outputs, truth, (), 3)


def test_labels_of_all_kinds_are_the_same_classes():
    for given in (
        np.array([2, 0, 1], dtype=np.uint8),
        pandas.Series([2, 0, 1], dtype="Int64"),
    ):
        assert class_numbers(load_truth(given), (), 3).tolist() == [2, 0, 1]


@pytest.mark.parametrize("ending", ["run", "run_to", "enter"])
def test_a_closed_server_is_refused(plan, digits, tmp_path, ending):
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    request = client.encrypt(digits["images"][0])
    server = hecc.Server(plan, keys.evaluation)
    with server:
        server.run(request)
    server.close()
    use = {
        "run": lambda: server.run(request),
        "run_to": lambda: server.run_to(tmp_path / "result.bin", request),
        "enter": server.__enter__,
    }[ending]
    with pytest.raises(InputError, match="this server was closed, and its keys with it; make a new one"):
        use()
    assert not (tmp_path / "result.bin").exists()


def test_an_input_that_nothing_reads_is_named_and_may_be_anything(caplog):
    weights = numpy_helper.from_array(np.ones((3, 2), dtype=np.float32), "w")
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("x", "u")]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", inputs, [output], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    constant = np.ones((len(ROWS), 3))
    with caplog.at_level(logging.WARNING):
        plan = hecc.compile(model, calibration={"x": ROWS, "u": constant})
    assert "input 'u': no output depends on it" in caplog.text
    found = hecc.simulate(plan, {"x": ROWS, "u": constant})["y"]
    np.testing.assert_allclose(found, ROWS @ np.ones((3, 2)), atol=1e-3)
    with pytest.raises(InputError, match="'x' was given; the network takes 'x', 'u'"):
        hecc.simulate(plan, {"x": ROWS})


@pytest.mark.parametrize("given", [("a", "b"), (1,), (1, 2, 3), 3, (None, 1), (1j, 2), {"image": None}])
def test_a_range_that_is_not_two_numbers_is_refused(model, given):
    with pytest.raises(InputError, match="is not two numbers; give the lowest and the highest value"):
        hecc.compile(model, input_range=given)


@pytest.mark.parametrize("given", ["abc", [[1, 2, 3]], 3, [None], (1j,)])
@pytest.mark.parametrize("name", ["mean", "std"])
def test_means_that_are_no_numbers_are_refused(name, given):
    with pytest.raises(InputError, match=f"the {name} .* is not a sequence of numbers; give one, or one per channel"):
        Preprocessing(**{name: given})


def test_only_what_was_decrypted_is_classified(plan, digits):
    client = hecc.Client(plan)
    outputs = hecc.simulate(plan, digits["images"][:2])
    assert [row[0].number for row in client.classify(outputs)["logits"]] == digits["labels"][:2].tolist()
    with pytest.raises(InputError, match="there is no output 'logits' to classify"):
        client.classify({"scores": outputs["logits"]})
    with pytest.raises(InputError, match="output 'logits': 20 masked values"):
        client.classify({"logits": np.ma.masked_array(outputs["logits"], mask=True)})
