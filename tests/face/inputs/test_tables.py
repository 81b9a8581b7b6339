"""Tables with names, gaps and outliers: data frames, .csv and .parquet files, in and out."""

import logging
from importlib.util import find_spec

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.inputs.arrays import save_outputs
from hecc.inputs.sources import Form, load_inputs
from hecc.inputs.tables import read_table

pandas = pytest.importorskip("pandas")

NAMES = ("age", "insulin", "ratio")
ROWS = np.random.default_rng(0).uniform([20, 0, 0.01], [80, 800, 0.02], (200, 3))
FRAME = pandas.DataFrame(ROWS, columns=list(NAMES))
WEIGHTS = np.array([[0.01, -0.02], [0.001, 0.002], [40.0, -30.0]])
FORM = Form("x", (3,), None, (np.array([0, 0, 0]), np.array([100, 1000, 0.1])), NAMES)


def network(names=("x",)):
    """One linear layer of all columns, which come as one input or one by one."""
    nodes = [helper.make_node("MatMul", ["all", "w"], ["y"])]
    nodes.insert(0, helper.make_node("Concat" if len(names) > 1 else "Identity", list(names), ["all"]))
    if len(names) > 1:
        nodes[0].attribute.append(helper.make_attribute("axis", 1))
    width = 3 // len(names)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(WEIGHTS.astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def plan():
    return hecc.compile(network(), calibration=FRAME, class_names=["ill", "well"], precision=10)


def test_the_plan_knows_the_columns(plan):
    (source,) = plan.header.inputs
    assert source.columns == NAMES
    assert source.ranges is not None
    assert plan.client().header.inputs[0].columns == NAMES


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame,
        lambda frame: frame[["ratio", "age", "insulin"]],
        lambda frame: frame.assign(insulin=frame["insulin"].astype("Float64")),
        lambda frame: frame.astype("float32"),
    ],
)
def test_columns_are_found_by_their_names(plan, change):
    found = hecc.simulate(plan, change(FRAME), noise=False)["y"]
    np.testing.assert_allclose(found, ROWS @ WEIGHTS, atol=1e-3)


def test_other_columns_are_left_out_with_a_warning(plan, caplog):
    with caplog.at_level(logging.WARNING):
        found = hecc.simulate(plan, FRAME.assign(patient=[f"p{n}" for n in range(200)], dead=np.nan), noise=False)
    np.testing.assert_allclose(found["y"], ROWS @ WEIGHTS, atol=1e-3)
    assert "the data frame: columns that the network does not have are left out: 'patient', 'dead'" in caplog.text


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (FRAME.drop(columns="ratio"), "no column 'ratio'; the plan's columns are 'age', 'insulin', 'ratio', in any"),
        (FRAME.rename(columns=str.upper), "no column 'age', 'insulin', 'ratio'; the plan's"),
        (pandas.concat([FRAME, FRAME[["age"]]], axis=1), "two columns are called 'age'; leave one of them out"),
        (FRAME[:0], "a table without rows"),
        (pandas.DataFrame(ROWS[:, :2]), "2 columns, not 3"),
        (FRAME.assign(age="old"), r"row 0, column 0 \('age'\): 'old' is not a finite number; 200 of 200 rows have"),
        (FRAME.assign(age=pandas.Timestamp("2020-01-01")), r"column 0 \('age'\): .*2020-01-01.* is not a finite"),
        (FRAME.assign(age=1j), r"column 0 \('age'\): .* is not a finite number"),
        (FRAME.mask(FRAME.index.to_series() == 7), r"row 7, column 0 \('age'\): a value is missing; fill it in, or"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_by_row_and_column(plan, frame, fault):
    with pytest.raises(hecc.InputError, match=fault):
        hecc.simulate(plan, frame)


def test_rows_without_names_are_columns_in_their_order(plan):
    for given in (pandas.DataFrame(ROWS), ROWS):
        np.testing.assert_allclose(hecc.simulate(plan, given, noise=False)["y"], ROWS @ WEIGHTS, atol=1e-3)


def test_inputs_of_one_column_each_are_found_by_name():
    """As scikit-learn's exporter writes the columns of a data frame."""
    plan = hecc.compile(network(NAMES), calibration=FRAME, precision=10)
    found = hecc.simulate(plan, FRAME[["ratio", "insulin", "age"]], noise=False)["y"]
    np.testing.assert_allclose(found, ROWS @ WEIGHTS, atol=1e-3)
    with pytest.raises(hecc.InputError, match="no column 'age'"):
        hecc.simulate(plan, FRAME.drop(columns="age"))
    with pytest.raises(hecc.InputError, match=r"row 3, column 1 \('insulin'\): -9 is outside 0 to "):
        hecc.simulate(plan, FRAME.assign(insulin=FRAME["insulin"].where(FRAME.index != 3, -9.0)))


def test_the_same_table_in_every_form(tmp_path):
    pytest.importorskip("pyarrow")
    FRAME.to_csv(tmp_path / "table.csv", index=False)
    FRAME.to_parquet(tmp_path / "table.parquet")
    for source in (FRAME, tmp_path / "table.csv", tmp_path / "table.parquet"):
        found = load_inputs(source, [FORM])
        np.testing.assert_array_equal(found.tensors["x"], ROWS)
        assert found.columns == {"x": NAMES}
        assert found.labels == ()


def test_a_damaged_parquet_file_is_a_sentence(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "table.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(hecc.FileFormatError, match=r"table\.parquet: no parquet file, or damaged \(.*\); save"):
        read_table(tmp_path / "table.parquet")


@pytest.mark.parametrize("module", ["pandas", "pyarrow"])
def test_what_is_not_installed_is_a_sentence(tmp_path, monkeypatch, module):
    monkeypatch.setattr("hecc.runtime.extras.find_spec", lambda name: None if name == module else find_spec(name))
    fault = (
        rf"{module} is not installed, and needed for data frames and parquet files; run `pip install 'hecc\[tables\]'`"
    )
    with pytest.raises(hecc.HeccError, match=fault):
        read_table(tmp_path / "table.parquet")


def outliers():
    """One value too large in row 3, one too small in row 5, one missing in row 7."""
    frame = FRAME[:10].copy()
    frame.loc[3, "insulin"] = 5000.0
    frame.loc[5, "ratio"] = -1.0
    frame.loc[7, "age"] = np.nan
    return frame.set_index(pandas.Index([f"patient {n}" for n in range(10)]))


def test_values_outside_are_moved_to_the_nearest_end(caplog):
    with pytest.raises(
        hecc.InputError, match=r"row 3 \('patient 3'\), column 1 \('insulin'\): 5000 is outside 0 to 1000"
    ):
        load_inputs(outliers(), [FORM])
    frame = outliers().drop(index="patient 7")
    found = load_inputs(frame, [FORM], clip=True)
    np.testing.assert_array_equal(found.tensors["x"], np.clip(frame.to_numpy(), 0, [100, 1000, 0.1]))
    assert (found.clipped.values, found.clipped.rows) == (2, 2)
    with caplog.at_level(logging.WARNING):
        found.warn()
    moved = (
        "2 values in 2 rows moved to the nearest end of the range: 1 in column 1 ('insulin'), 1 in column 2 ('ratio')"
    )
    assert caplog.messages == [f"{moved}; their answers are those of other values"]
    with pytest.raises(hecc.InputError, match=r"row 7 \('patient 7'\), column 0 \('age'\): a value is missing"):
        load_inputs(outliers(), [FORM], clip=True)


def test_bad_rows_are_left_out_and_listed(caplog):
    found = load_inputs(outliers(), [FORM], skip_bad_rows=True)
    kept = [0, 1, 2, 4, 6, 8, 9]
    np.testing.assert_array_equal(found.tensors["x"], ROWS[kept])
    assert found.labels == tuple(f"patient {n}" for n in kept)
    assert list(found.left_out) == [3, 5, 7]
    with caplog.at_level(logging.WARNING):
        found.warn()
    assert caplog.messages[0].startswith("3 of 10 rows left out: the data frame, row 3 ('patient 3'), column 1")
    both = load_inputs(outliers(), [FORM], clip=True, skip_bad_rows=True)
    assert (both.clipped.values, list(both.left_out)) == (2, [7])
    with pytest.raises(hecc.InputError, match=r"none of 1 rows is left: .*'patient 3'"):
        load_inputs(outliers()[3:4], [FORM], skip_bad_rows=True)


def test_arrays_can_be_clipped_and_skipped_too():
    rows = outliers().to_numpy()
    found = load_inputs(rows, [FORM], skip_bad_rows=True)
    assert found.labels == (0, 1, 2, 4, 6, 8, 9)
    image = Form("x", (1, 2), None, (0.0, 1.0))
    clipped = load_inputs(np.array([[[0.5, 1.5]], [[-1, 0.25]]]), [image], clip=True)
    np.testing.assert_array_equal(clipped.tensors["x"], [[[0.5, 1]], [[0, 0.25]]])
    assert clipped.clipped.columns == {"element (0, 1)": 1, "element (0, 0)": 1}


def test_answers_keep_the_names_of_their_rows(plan, tmp_path):
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    encrypted = client.encrypt(outliers(), skip_bad_rows=True)
    with hecc.Server(plan, keys.evaluation) as server:
        result = server.run(encrypted)
    kept = [0, 1, 2, 4, 6, 8, 9]
    for other in (client, hecc.Client(plan, tmp_path / "keys")):
        outputs = other.decrypt(result)
        assert outputs.index == tuple(f"patient {n}" for n in kept)
        frame = other.frame(outputs)
        assert list(frame.columns) == ["ill", "well"]
        assert list(frame.index) == [f"patient {n}" for n in kept]
        np.testing.assert_allclose(frame.to_numpy(), ROWS[kept] @ WEIGHTS, atol=2e-2)
    # The server learns neither names nor numbers.
    assert b"patient" not in encrypted.dumps()
    (kept_file,) = (tmp_path / "keys" / "requests").glob("*.rows.json")
    assert kept_file.stat().st_mode & 0o777 == 0o600
    kept_file.write_text('{"labels":["one"]}')
    with pytest.raises(hecc.FileFormatError, match=r"the names of 1 rows were kept .* and the result has 7"):
        hecc.Client(plan, tmp_path / "keys").decrypt(result)
    save_outputs(tmp_path / "out.csv", outputs, plan.header)
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "row,ill,well"
    save_outputs(tmp_path / "out.csv", outputs, plan.header)  # its own file may be replaced
    pytest.importorskip("pyarrow")
    for _ in range(2):
        save_outputs(tmp_path / "out.parquet", outputs, plan.header)
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "out.parquet"), frame)


def test_rows_that_are_all_there_need_no_names(plan, tmp_path):
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        outputs = client.decrypt(server.run(client.encrypt(FRAME[:2])))
    assert outputs.index == ()
    assert list(client.frame(outputs).index) == [0, 1]
    assert not list((tmp_path / "keys" / "requests").glob("*.rows.json"))


def test_simulation_and_evaluation_leave_the_same_rows_out(plan):
    kept = [0, 1, 2, 4, 6, 8, 9]
    found = hecc.simulate(plan, outliers(), skip_bad_rows=True)
    assert found.index == tuple(f"patient {n}" for n in kept)
    np.testing.assert_allclose(found["y"], ROWS[kept] @ WEIGHTS, atol=1e-2)
    truth = (ROWS[:10] @ WEIGHTS).argmax(axis=1)
    measured = hecc.evaluate(plan, outliers(), truth, skip_bad_rows=True)
    assert [outcome.rows for outcome in measured.outcomes] == [7, 7]
    assert [outcome.score for outcome in measured.outcomes] == [1.0, 1.0]
    both = hecc.evaluate(plan, outliers(), truth, clip=True, skip_bad_rows=True)
    assert both.outcomes[0].rows == 9
    with pytest.raises(hecc.InputError, match="labels of shape"):
        hecc.evaluate(plan, outliers(), truth[:7], skip_bad_rows=True)
