"""A table from its file to a file of answers, by the command line."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.cli.conftest import load_object

NAMES = "age,insulin,ratio"
ROWS = np.random.default_rng(0).uniform([20, 0, 0.01], [80, 800, 0.02], (60, 3))
WEIGHTS = np.array([[0.01, -0.02], [0.001, 0.002], [40.0, -30.0]])


def write(path, rows, names=NAMES):
    np.savetxt(path, rows, delimiter=",", header=names, comments="", fmt="%.9g")


@pytest.fixture(scope="module")
def folder(cli, tmp_path_factory):
    """A plan for a table, keys, and a table with an outlier in row 2 and a gap in row 4."""
    folder = tmp_path_factory.mktemp("table")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(WEIGHTS.astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "names.txt").write_text("ill\nwell\n")
    write(folder / "calibration.csv", ROWS)
    rows = ROWS[:6].copy()
    rows[2, 1] = 5000
    write(folder / "table.csv", rows)
    lines = (folder / "table.csv").read_text().splitlines()
    lines[5] = "," + lines[5].split(",", 1)[1]
    (folder / "table.csv").write_text("\n".join(lines))
    plan = folder / "plan.bin"
    cli.succeed(
        "compile", folder / "model.onnx", "--calibration", folder / "calibration.csv", "--class-names",
        folder / "names.txt", "--precision", "10", "--output", plan,
    )  # fmt: skip
    cli.succeed("keygen", folder / "plan.client.bin", "--keys", folder / "keys")
    return folder


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_the_plan_says_that_columns_have_ranges(cli, inside):
    assert "a range for each column, all within 0 to 975" in cli.succeed("inspect", "plan.client.bin").output
    (source,) = cli.answer("inspect", "plan.client.bin")["inputs"]
    assert source["columns"] == NAMES.split(",")
    assert source["ranges"]["highs"][0] == pytest.approx(95, abs=1)


def test_a_bad_row_is_refused_by_line_and_column(cli, inside):
    sentence = cli.refusal("encrypt", "plan.client.bin", "table.csv")
    assert sentence.startswith("table.csv, line 4, column 2 ('insulin'): 5000 is outside 0 to 975; 2 of 6 rows have")
    assert "--clip moves such values to the nearest end, --skip-bad-rows leaves such rows out" in sentence
    write("other.csv", ROWS[:2, :2], "age,insulin")
    assert cli.refusal("encrypt", "plan.client.bin", "other.csv") == (
        "other.csv: no column 'ratio'; the plan's columns are 'age', 'insulin', 'ratio', in any order: rename the "
        "table's as in calibration"
    )


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy"])
def test_answers_keep_the_numbers_of_their_rows(cli, inside, ending):
    result = cli.succeed("encrypt", "plan.client.bin", "table.csv", "--skip-bad-rows", "--json")
    said = load_object(result.stdout)
    assert said["index"] == [0, 1, 3, 5]
    assert [row["row"] for row in said["left_out"]] == [2, 4]
    (warning,) = said["warnings"]
    assert warning == (
        "2 of 6 rows left out: table.csv, line 4, column 2 ('insulin'): 5000 is outside 0 to 975; table.csv, line 6, "
        "column 1 ('age'): a value is missing"
    )
    cli.succeed("run", "plan.bin", "encrypted.bin", "--evaluation-keys", "keys")
    out = f"out.{ending}"
    expected = ROWS[[0, 1, 3, 5]] @ WEIGHTS
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    said = cli.answer("decrypt", "plan.client.bin", "result.bin", "--output", out)
    assert said["index"] == [0, 1, 3, 5]
    if ending == "npy":
        (warning,) = said["warnings"]
        assert warning.startswith("out.npy holds rows 0, 1, 3, 5 of the inputs without their names; a .csv or .parquet")
        np.testing.assert_allclose(np.load(out), expected, atol=2e-2)
        return
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(out, index_col="row") if ending == "csv" else pandas.read_parquet(out)
    assert list(frame.columns) == ["ill", "well"]
    assert list(frame.index) == [0, 1, 3, 5]
    np.testing.assert_allclose(frame.to_numpy(), expected, atol=2e-2)
    shown = cli.succeed("decrypt", "plan.client.bin", "result.bin", "--output", out).output
    assert [line.split()[0] for line in shown.splitlines() if "%" in line] == ["0", "1", "3", "5"]


def test_clipped_values_are_counted(cli, inside):
    said = cli.answer("encrypt", "plan.client.bin", "table.csv", "--clip", "--skip-bad-rows")
    assert said["clipped"] == {"values": 1, "rows": 1}
    assert said["index"] == [0, 1, 2, 3, 5]
    assert "1 value in 1 row moved to the nearest end of the range: 1 in column 2 ('insulin')" in said["warnings"][0]


def test_ranges_of_columns_come_from_a_file(cli, inside):
    write("ranges.csv", [[0.1, 0, 0], [0.3, 120, 2000]], "ratio,age,insulin")
    arguments = ("compile", "model.onnx", "--calibration", "calibration.csv", "--output", "stated.bin")
    refused = cli.refusal(*arguments, "--column-ranges", "ranges.csv")
    assert refused.startswith("calibration for input 'x', row 0, column 2 ('ratio'): ")
    write("ranges.csv", [[0, 0, 0], [0.3, 120, 2000]], "ratio,age,insulin")
    cli.succeed(*arguments, "--column-ranges", "ranges.csv")
    (source,) = cli.answer("inspect", "stated.bin")["inputs"]
    assert source["ranges"]["highs"] == [120, 2000, 0.3]
    both = cli.refusal(*arguments, "--column-ranges", "ranges.csv", "--input-range", "0", "1")
    assert both == "--input-range and --column-ranges: give one of them"
    write("ranges.csv", [[0, 0, 0]], "ratio,age,insulin")
    assert "ranges.csv: 1 rows; give two" in cli.refusal(*arguments, "--column-ranges", "ranges.csv")
    assert Path("stated.bin").exists()
