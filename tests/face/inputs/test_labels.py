"""Names of classes, and the right answers of a test set."""

import numpy as np
import pytest

from hecc.inputs.labels import class_numbers, load_truth, output_class_names
from hecc.runtime.errors import FileFormatError, InputError


def test_names_are_the_lines_of_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n dog \nold owl\n\n", encoding="utf-8")
    expected = {"y": ("cat", "dog", "old owl")}
    assert output_class_names(tmp_path / "names.txt", {"y": (3,)}) == expected
    assert output_class_names(["cat", "dog", "old owl"], {"y": (3,)}) == expected
    numpy_names = output_class_names(np.array(["cat", "dog", "old owl"]), {"y": (3,)})
    assert numpy_names == expected
    assert {type(name) for name in numpy_names["y"]} == {str}
    with pytest.raises(InputError, match="a name is a string, and 7 is none"):
        output_class_names(["cat", 7, "owl"], {"y": (3,)})
    assert output_class_names({"z": ["no", "yes"]}, {"y": (3,), "z": (1,)}) == {"z": ("no", "yes")}
    assert output_class_names(None, {"y": (3,)}) == {}


@pytest.mark.parametrize(
    ("given", "outputs", "fault"),
    [
        (
            ["a", "b"],
            {"y": (3,)},
            r"class_names: output 'y': 2 names of classes for an output of shape \(3,\), which takes 3, one for",
        ),
        (["a"], {"y": (1,)}, "which takes 2 for a single score, that of no and that of yes"),
        (["a"] * 4, {"y": (3, 4)}, "which takes 12, one for each score"),
        (["a", "b", "a"], {"y": (3,)}, "two classes are called 'a'; every class needs a name of its own"),
        (["a", "", "c"], {"y": (3,)}, "name 2 of a class is empty, not printable or over 256 characters"),
        (["a", "\x1b[2J", "c"], {"y": (3,)}, "name 2 of a class is empty, not printable"),
        (["a", "b"], {"y": (2,), "z": (2,)}, r"the network has 2 outputs \('y', 'z'\); say for which, as OUTPUT=FILE"),
        ({"w": ["a", "b"]}, {"y": (2,)}, "there is no output 'w'; the network has 'y'"),
        ([], {"y": (2,)}, "no names; give one per line"),
    ],
)
def test_names_that_do_not_fit_are_refused(given, outputs, fault):
    with pytest.raises(InputError, match=fault):
        output_class_names(given, outputs)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "names.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match=r"names\.txt: not a text file in UTF-8; give one name per line"):
        output_class_names(tmp_path / "names.txt", {"y": (3,)})


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("y.txt", "0\n2\n1\n", [0, 2, 1]),
        ("y.csv", "label\n0\n2\n1\n", [0, 2, 1]),
        ("y.csv", "0.0\n2.0\n1.0\n", [0, 2, 1]),
        ("y.csv", '"cat"\n"dog"\n', ["cat", "dog"]),
        ("y.txt", "0.5\n1.5\n", [0.5, 1.5]),
    ],
)
def test_right_answers_are_numbers_or_names(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    found = load_truth(tmp_path / name)
    assert found.tolist() == expected
    assert found.dtype.kind == np.array(expected).dtype.kind


def test_right_answers_may_be_an_array(tmp_path):
    np.save(tmp_path / "y.npy", np.array([3, 1]))
    assert load_truth(tmp_path / "y.npy").tolist() == load_truth([3, 1]).tolist() == [3, 1]


def test_right_answers_may_be_names_as_pandas_keeps_them():
    pandas = pytest.importorskip("pandas")
    names = pandas.Series(["owl", "cat"])
    for given in (names, names.astype(object), names.to_numpy(), names.astype(object).to_numpy()):
        assert load_truth(given).tolist() == ["owl", "cat"]
        assert load_truth(given).dtype.kind == "U"


def test_names_become_numbers_by_the_plans_order():
    assert class_numbers(np.array(["owl", "cat"]), ("owl", "cat", "dog"), 3).tolist() == [0, 1]
    # Without names in the plan as torchvision's ImageFolder numbers them.
    assert class_numbers(np.array(["owl", "cat", "owl"]), (), 2).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("truth", "labels", "fault"),
    [
        ([0, 3], (), "labels from 0 to 3; the network has the classes 0 to 2; number them so"),
        ([-1, 0], (), "labels from -1 to 0"),
        (
            ["cat", "cow"],
            ("cat", "dog", "owl"),
            "labels name 'cow', which is no class of the plan; it has cat, dog, owl",
        ),
        (["cat", "dog"], (), "labels with 2 names, and the plan has 3 classes without names"),
        ([0.5, 1.0], (), "labels of dtype float64; give integers or names of classes"),
    ],
)
def test_right_answers_that_no_class_has_are_refused(truth, labels, fault):
    with pytest.raises(InputError, match=fault):
        class_numbers(np.array(truth), labels, 3)
