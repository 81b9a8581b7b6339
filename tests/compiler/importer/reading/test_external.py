"""Weights in other files: all of them are found, and nothing is read but regular files in the model's folder."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.compiler.importer import import_model
from hecc.runtime.errors import InputError

SECRET = np.frombuffer(b"not for others, these 64 bytes are: they are somebody's secret key", np.float32, 16)
Place = Callable[[onnx.ModelProto, onnx.TensorProto], None]


def _model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 16]) for name in "xy")
    graph = helper.make_graph(nodes or [helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("own", 1)])


def _outside(location: str = "keys/secret.bin", **places: str) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[16], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **places}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def _branch(tensor: onnx.TensorProto, name: str) -> onnx.GraphProto:
    add = helper.make_node("Add", ["x", "w"], [name])
    return helper.make_graph([add], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)], [tensor])


def _if(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    truth = numpy_helper.from_array(np.array(True), "c")
    branches = {"then_branch": _branch(tensor, "t"), "else_branch": _branch(numpy_helper.from_array(SECRET, "w"), "e")}
    model.graph.initializer.append(truth)
    model.graph.node[0].CopyFrom(helper.make_node("If", ["c"], ["y"], **branches))


def _nested(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    _if(model, tensor)
    inner = helper.make_node("If", ["c"], ["t"], then_branch=_branch(tensor, "a"), else_branch=_branch(tensor, "b"))
    outer = next(attribute.g for attribute in model.graph.node[0].attribute if attribute.name == "then_branch")
    del outer.node[:], outer.initializer[:]
    outer.node.append(inner)


def _function(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["u", "w"], ["v"])]
    model.functions.append(helper.make_function("own", "F", ["u"], ["v"], nodes, [helper.make_opsetid("", 17)]))
    model.graph.node[0].CopyFrom(helper.make_node("F", ["x"], ["y"], domain="own"))


def _default(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    _function(model, tensor)
    value = model.functions[0].node[0].attribute[0]
    value.ClearField("t")
    value.ref_attr_name = "a"
    model.functions[0].attribute_proto.append(helper.make_attribute("a", tensor))


def _constant(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    add = helper.make_node("Add", ["x", "w"], ["y"])
    model.graph.node[0].CopyFrom(helper.make_node("Constant", [], ["w"], value=tensor))
    model.graph.node.append(add)


def _initializer(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.initializer.append(tensor)
    model.graph.node[0].CopyFrom(helper.make_node("Add", ["x", "w"], ["y"]))


def _tensors(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("all", [tensor]))


def _sparse(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    indices = numpy_helper.from_array(np.arange(16), "i")
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=tensor, indices=indices, dims=[16]))


def _sparse_constant(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    sparse = onnx.SparseTensorProto(values=numpy_helper.from_array(SECRET, "v"), indices=tensor, dims=[16])
    model.graph.node.append(helper.make_node("Constant", [], ["w"], sparse_value=sparse))


def _training(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.training_info.add().initialization.initializer.append(tensor)


PLACES = [
    _constant,
    _default,
    _function,
    _if,
    _initializer,
    _nested,
    _sparse,
    _sparse_constant,
    _tensors,
    _training,
]


@pytest.mark.parametrize("place", PLACES)
def test_from_bytes_or_memory_no_other_file_is_read(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "secret.bin").write_bytes(SECRET.tobytes())
    monkeypatch.chdir(tmp_path)
    built = _model()
    place(built, _outside())
    for given, what in ((built.SerializeToString(), "the bytes given"), (built, "the model in memory")):
        with pytest.raises(InputError) as caught:
            hecc.compile(given, calibration=np.ones((20, 16)))
        assert str(caught.value) == (
            f"{what} keeps the weight 'w' in another file, 'keys/secret.bin'; give the path of the model, next to "
            "which that file lies"
        )


@pytest.mark.parametrize("place", [_constant, _default, _function, _if, _initializer, _nested])
def test_from_a_path_weights_are_read_wherever_they_are_named(place: Place, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(8) + SECRET.tobytes())
    built = _model()
    place(built, _outside("weights.bin", offset="8", length="64"))
    (tmp_path / "model.onnx").write_bytes(built.SerializeToString())
    graph = import_model(tmp_path / "model.onnx")
    np.testing.assert_allclose(graph.evaluate({"x": np.zeros((1, 16))})["y"][0], SECRET)


def _refused(folder: Path, tensor: onnx.TensorProto) -> str:
    built = _model()
    _if(built, tensor)
    (folder / "model.onnx").write_bytes(built.SerializeToString())
    with pytest.raises(InputError) as caught:
        import_model(folder / "model.onnx")
    return str(caught.value)


@pytest.mark.parametrize(
    "location", ["../secret.bin", "a/../../secret.bin", "/etc/passwd", "C:\\secret", "..\\s", "", "a\0b"]
)
def test_a_name_leads_to_no_other_folder(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(SECRET.tobytes())
    (tmp_path / "folder" / "a").mkdir(parents=True)
    found = _refused(tmp_path / "folder", _outside(location))
    assert "which is no file in the model's folder, and no other is read; save the model with its weights in" in found


def test_a_link_leads_to_no_other_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(SECRET.tobytes())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file.bin").symlink_to("../secret.bin")
    (folder / "up").symlink_to("..")
    for location in ("file.bin", "up/secret.bin"):
        assert f"'{location}', a link out of the model's folder, and no file elsewhere is" in _refused(
            folder, _outside(location)
        )


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert _refused(tmp_path, _outside("pipe")) == f"{tmp_path / 'pipe'}: not a regular file; save it to disk first"
    (tmp_path / "folder").mkdir()
    assert "cannot be read (Is a directory)" in _refused(tmp_path, _outside("folder"))


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ({"offset": "-8"}, "the offset '-8' in 'weights.bin', which is no number of bytes"),
        ({"offset": "8.5"}, "the offset '8.5' in 'weights.bin', which is no number of bytes"),
        ({"length": "-1"}, "the length '-1' in 'weights.bin', which is no number of bytes"),
        ({"length": "٣"}, "the length '٣' in 'weights.bin', which is no number of bytes"),
        ({"offset": "8"}, "in bytes 8 to 64 of 'weights.bin', which has 64, and the weight takes 64"),
        ({"offset": "80"}, "in bytes 80 to 64 of 'weights.bin', which has 64"),
        ({"offset": str(1 << 62), "length": "64"}, "of 'weights.bin', which has 64"),
        ({"length": "60"}, "in bytes 0 to 60 of 'weights.bin', which has 64, and the weight takes 64"),
    ],
)
def test_a_place_that_does_not_fit_is_refused(places: dict[str, str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(SECRET.tobytes())
    assert reason in _refused(tmp_path, _outside("weights.bin", **places))


@pytest.mark.parametrize(("dims", "kind"), [([-1], 1), ([16], 0), ([16], 8), ([16], 99)])
def test_a_tensor_without_a_size_is_refused(dims: list[int], kind: int, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(SECRET.tobytes())
    tensor = _outside("weights.bin")
    del tensor.dims[:]
    tensor.dims.extend(dims)
    tensor.data_type = kind
    assert "which is no tensor of numbers with a shape" in _refused(tmp_path, tensor)


def test_one_place_that_many_weights_name_fills_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(1 << 32)
    built = _model()
    tensor = _outside("weights.bin")
    del tensor.dims[:]
    tensor.dims.append(1 << 30)
    for number in range(3):
        tensor.name = f"w{number}"
        built.graph.initializer.append(tensor)
    (tmp_path / "model.onnx").write_bytes(built.SerializeToString())
    with pytest.raises(InputError, match=r"keeps more than 4.3 GB of weights in other files; use a smaller network"):
        import_model(tmp_path / "model.onnx")
