"""Inputs come from arrays, tables, images and folders, and are preprocessed where they are raw."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hecc.inputs.sources import Form, load_inputs
from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.inputs.preprocessing import Preprocessing

GREY = Form("x", (1, 4, 4), Preprocessing(scale=0.5))
TABLE = Form("x", (3,), Preprocessing(scale=2, mean=(1, 2, 3)))


def load(source, form, **options):
    """The tensor of a network with one input."""
    return load_inputs(source, [form], **options).tensors[form.name]


def save_image(path, value, size=(4, 4)):
    """A grey image of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, dtype=np.uint8)).save(path)


def test_arrays_are_the_networks_own_inputs_unless_they_are_raw(tmp_path):
    values = np.arange(32.0).reshape(2, 1, 4, 4)
    np.save(tmp_path / "x.npy", values)
    for source in (values, {"x": values}, tmp_path / "x.npy", str(tmp_path / "x.npy"), values.tolist()):
        np.testing.assert_array_equal(load(source, GREY), values)
        np.testing.assert_array_equal(load(source, GREY, raw=True), values / 2)


def test_raw_bytes_of_another_shape_are_images():
    form = Form("x", (3, 4, 4), Preprocessing(resize=4, scale=1 / 255))
    found = load(np.full((2, 9, 8, 3), 51, dtype=np.uint8), form, raw=True)
    np.testing.assert_allclose(found, np.full((2, 3, 4, 4), 0.2))
    grey = load(np.full((5, 4, 4), 8, dtype=np.uint8), GREY, raw=True)
    np.testing.assert_array_equal(grey, np.full((5, 1, 4, 4), 4.0))
    # Of the network's own shape it is taken as it is: channels first.
    own = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    np.testing.assert_allclose(load(own, form, raw=True), own / 255)


def test_raw_values_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"input 'x': shape \(2, 4, 4\); give \(1, 4, 4\) for one example"):
        load(np.zeros((2, 4, 4)), GREY, raw=True)


def test_an_image_and_several_are_rows_in_the_order_given(tmp_path):
    for name, value in (("b.png", 2), ("a.png", 4)):
        save_image(tmp_path / name, value)
    found = load_inputs([tmp_path / "b.png", str(tmp_path / "a.png")], [GREY])
    assert found.tensors["x"][:, 0, 0, 0].tolist() == [1.0, 2.0]
    assert [Path(file).name for file in found.files] == ["b.png", "a.png"]
    assert load(tmp_path / "b.png", GREY).shape == (1, 1, 4, 4)


def test_a_folder_is_its_images_sorted_by_name(tmp_path, caplog):
    for name, value in (("b.png", 2), ("a.bmp", 4), ("c.PNG", 6)):
        save_image(tmp_path / name, value)
    (tmp_path / ".hidden").write_text("")
    seen = []
    found = load_inputs(tmp_path, [GREY], progress=lambda done, total: seen.append((done, total)))
    assert found.tensors["x"][:, 0, 0, 0].tolist() == [2.0, 1.0, 3.0]
    assert found.classes == ()
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert not caplog.records
    (tmp_path / "notes.txt").write_text("")
    load(tmp_path, GREY)
    assert "1 files are no images by their names and left out, as notes.txt" in caplog.text


def test_folders_in_a_folder_are_classes(tmp_path):
    for name, value in (("dog/1.png", 2), ("cat/2.png", 4), ("cat/1.png", 6)):
        save_image(tmp_path / name, value)
    found = load_inputs(tmp_path, [GREY])
    assert found.classes == ("cat", "cat", "dog")
    assert found.tensors["x"][:, 0, 0, 0].tolist() == [3.0, 2.0, 1.0]
    save_image(tmp_path / "loose.png", 1)
    with pytest.raises(InputError, match="has both images and folders"):
        load(tmp_path, GREY)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no images; their names end in \.bmp"):
        load(tmp_path, GREY)


def test_images_need_to_be_told_how_they_are_preprocessed(tmp_path):
    save_image(tmp_path / "x.png", 1)
    silent = Form("x", (1, 4, 4), None)
    for source, raw in ((tmp_path / "x.png", False), (np.zeros((1, 4, 4)), True)):
        with pytest.raises(InputError, match=r"was not stated; compile with --scale"):
            load(source, silent, raw=raw)


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["nowhere.jpg"], "nowhere.jpg: cannot be read (No such file or directory); check the path"),
        (["there.png", "nowhere.png"], "nowhere.png: cannot be read (No such file or directory)"),
        (["nowhere"], "nowhere: cannot be read (No such file or directory)"),
        (["*.jpg"], "*.jpg: no file matches this pattern; check the folder, and how the names end"),
        (["folder"], "folder/dangling.png: cannot be read (No such file or directory)"),
        (["folder", "there.png"], "folder: not an image by its name; several inputs at once"),
        (["locked.png"], "locked.png: cannot be read (Permission denied); check the path"),
        (["there.png/x.png"], "x.png: cannot be read (Not a directory); check the path"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_of_preprocessing(tmp_path, monkeypatch, names, fault):
    save_image(tmp_path / "there.png", 1)
    save_image(tmp_path / "locked.png", 1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "dangling.png").symlink_to(tmp_path / "gone.png")
    # Whoever runs tests may be allowed to read everything.
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "locked.png")
    paths = [tmp_path / name for name in names]
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}/{fault}" if fault[0] != "x" else fault)):
        load(paths[0] if len(paths) == 1 else paths, Form("x", (1, 4, 4), None))


def test_images_that_do_not_fit_the_memory_are_refused(tmp_path, monkeypatch):
    save_image(tmp_path / "x.png", 1)
    monkeypatch.setattr("hecc.inputs.sources.available_memory", lambda: 100)
    with pytest.raises(InputError, match=r"1 images: need about 0\.0 GB of memory, .* give fewer at once"):
        load(tmp_path / "x.png", GREY)


def test_a_network_with_several_inputs_takes_no_image(tmp_path):
    save_image(tmp_path / "x.png", 1)
    with pytest.raises(InputError, match=r"the network has 2 inputs \('x', 'y'\); give an .npz file"):
        load_inputs(tmp_path / "x.png", [GREY, Form("y", (1, 4, 4), None)])


def test_several_files_have_to_be_images(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"x\.npy: not an image by its name; several inputs at once have to be images"):
        load([tmp_path / "x.npy", tmp_path / "x.npy"], GREY)
    with pytest.raises(InputError, match="no inputs; give a file"):
        load([], GREY)


@pytest.mark.parametrize(
    "text",
    ["1,2,3\n4,5,6\n", "age,sex,dose\n1,2,3\n4,5,6\n", '"1","2","3"\r\n\r\n4, 5 ,6e0\r\n\r\n', "\ufeff1,2,3\n4,5,6"],
)
def test_a_table_is_its_columns_in_order(tmp_path, text):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(load(tmp_path / "x.csv", TABLE), [[1, 2, 3], [7, 8, 9]])
    own = Form("x", (3, 1), None)
    np.testing.assert_array_equal(load(tmp_path / "x.csv", own), [[[1], [2], [3]], [[4], [5], [6]]])


def test_numbers_that_count_columns_are_their_names(tmp_path, caplog):
    path = tmp_path / "x.csv"
    path.write_text("0,1,2\n1,2,3\n0,1,2\n")
    np.testing.assert_array_equal(load(path, Form("x", (3,), None)), [[1, 2, 3], [0, 1, 2]])
    assert [record.message for record in caplog.records] == [
        f"{path}: the first line, 0 to 2, is taken for the names of columns"
    ]
    # So few that they may be an example.
    path.write_text("0,1\n1,2\n")
    np.testing.assert_array_equal(load(path, Form("x", (2,), None)), [[0, 1], [1, 2]])


@pytest.mark.parametrize(
    ("text", "error", "fault"),
    [
        ("1,2,3\n4,,6\n", InputError, "x.csv, line 2, column 2: a value is missing; fill it in, or leave the row out"),
        ("a,b,c\n1,2,3\n4,5,x\n", InputError, "x.csv, line 3, column 3 ('c'): 'x' is not a finite number"),
        ("1,b,3\n4,5,6\n", InputError, "x.csv, line 1, column 2: 'b' is not a finite number"),
        ("1,2,nan\n", InputError, "x.csv, line 1, column 3: 'nan' is not a finite number"),
        ("a,b,c\nd,e,f\n", InputError, "x.csv, line 2, column 1 ('a'): 'd' is not a finite number"),
        ("1,2\n", InputError, "x.csv, line 1: 2 columns, not 3; give one for each value"),
        (
            "0,1,2,3\n",
            InputError,
            "4 columns, not 3; give one for each value; pandas leaves its index out with index=F",
        ),
        ("1,2,3\n4,5\n", InputError, "x.csv, line 2: 2 columns, not 3"),
        ("a,b,c\n", FileFormatError, "x.csv: a table without rows of numbers; give one row per example"),
        ("", FileFormatError, "x.csv: a table without rows of numbers"),
        ('1,2,"3\n', FileFormatError, "x.csv: not a table of comma-separated values"),
        (b"\xff\xfe1,2", FileFormatError, "x.csv: not in UTF-8 ("),
        (
            "a;b;c\n1;2;3\n",
            InputError,
            "x.csv, line 2: 1 column, not 3, and there are semicolons; separate columns with",
        ),
        (
            "1\t2\t3\n4\t5\t6\n",
            InputError,
            "x.csv, line 2: 1 column, not 3, and there are tabs; separate columns with commas",
        ),
        ("0,5;1,5;2,5\n", InputError, "x.csv, line 1: 4 columns, not 3, and there are semicolons; separate columns"),
        ("0,1,2\n", FileFormatError, "x.csv: a table without rows of numbers"),
    ],
)
def test_a_cell_that_is_no_number_is_named(tmp_path, text, error, fault):
    path = tmp_path / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(error) as refusal:
        load(path, TABLE)
    assert fault in str(refusal.value)
