"""From a network to a plan, and from its two files back."""

from dataclasses import replace

import msgspec
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from hecc.compiler.importer import import_model
from hecc.compiler.sharing.options import Options
from hecc.passes.sharing.pipeline import build_plan
from hecc.runtime.errors import CircuitError, FileFormatError, ParameterError, UnsupportedError
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.files.memory import MemoryFile
from hecc.runtime.sharing.plan.header import SharingHeader, check_sharing_header
from hecc.runtime.sharing.plan.plan import read_program, weights_digest, write_program
from hecc.runtime.sharing.scheme import SHARING

OPTIONS = Options(precision=7.0, margin=4.0, producer="test")


def model(seed=0):
    graph = onnx.parser.parse_graph(
        "g (float[N,2,6,6] x) => (float[N,3] y, float[N,3] z, int64[N] label) { a = Conv(x, w0, b0) r = Relu(a) "
        "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) f = Flatten(p) y = Gemm(f, w1) z = Softmax(y) "
        "label = ArgMax<axis=1, keepdims=0>(y) }"
    )
    rng = np.random.default_rng(seed)
    for name, shape in {"w0": (3, 2, 3, 3), "b0": (3,), "w1": (12, 3)}.items():
        values = rng.normal(size=shape).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, name))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def plan():
    x = np.random.default_rng(1).uniform(-1, 1, (30, 2, 6, 6))
    return build_plan(import_model(model()), model().SerializeToString(), {"x": x}, {"x": (-1.0, 1.0)}, OPTIONS)


def written(plan, kind, change=None):
    memory = MemoryFile()
    with ContainerWriter(memory, kind, plan.header) as writer:
        write_program(writer, plan if change is None else change)
    return memory.content


def loaded(content):
    container = Container(content, Kind.SERVER_PLAN, Kind.CLIENT_PLAN)
    header = container.header(SharingHeader)
    check_sharing_header(header)
    return read_program(container, header)


def test_a_label_is_all_that_is_left_of_scores(plan):
    """Probabilities become ones and zeros, too, and the label is what it was."""
    x = np.random.default_rng(1).uniform(-1, 1, (30, 2, 6, 6))
    content = model().SerializeToString()
    ranges = {"x": (-1.0, 1.0)}
    label = build_plan(import_model(model()), content, {"x": x}, ranges, replace(OPTIONS, reveal="label"))
    assert [each.epilogue for each in label.header.outputs[:2]] == [(), ()]
    found, scores = (SHARING.simulate(each, {"x": x}, noise=True, seed=0) for each in (label, plan))
    assert set(np.unique(found["y"])) == {0, 1}
    np.testing.assert_array_equal(found["y"], found["z"])
    np.testing.assert_array_equal(found["label"], found["y"].argmax(axis=1))
    assert (found["label"] == scores["label"]).mean() > 0.9
    assert label.header.cost.messages == plan.header.cost.messages + 8


def test_what_is_more_than_a_label_is_refused():
    network = model()
    network.graph.node.append(onnx.helper.make_node("Sigmoid", ["y"], ["s"]))
    network.graph.output.append(onnx.helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, ["N", 3]))
    x = np.random.default_rng(1).uniform(-1, 1, (30, 2, 6, 6))
    with pytest.raises(UnsupportedError, match="output 's' is more than the label of the largest score"):
        build_plan(import_model(network), b"", {"x": x}, {"x": (-1.0, 1.0)}, replace(OPTIONS, reveal="label"))


def test_a_plan_says_what_its_outputs_are(plan):
    y, z, label = plan.header.outputs
    assert (y.name, z.of, label.of) == ("y", "y", "y")
    assert [signature.name for signature in plan.header.sent] == ["y"]
    assert y.epilogue == ()
    assert z.epilogue
    assert plan.header.precision >= 7
    assert "messages" in plan.summary


def test_both_files_come_back(plan):
    server = loaded(written(plan, Kind.SERVER_PLAN))
    client = loaded(written(plan.client(), Kind.CLIENT_PLAN))
    assert server.header == client.header == plan.header
    assert server.fingerprint == client.fingerprint == plan.fingerprint
    assert server.public.instructions == client.public.instructions == plan.public.instructions
    for name, array in plan.secrets.weights.items():
        np.testing.assert_array_equal(server.secrets.weights[name], array)
    assert client.secrets is None
    assert written(server, Kind.SERVER_PLAN) == written(plan, Kind.SERVER_PLAN)


def test_the_clients_file_has_nothing_of_the_weights(plan):
    """No part of a weight or of the salt is in it; what it has of them is one hash."""
    content = written(plan.client(), Kind.CLIENT_PLAN)
    assert plan.secrets.salt not in content
    for array in (*plan.secrets.weights.values(), *plan.secrets.biases.values()):
        row = np.ascontiguousarray(array).tobytes()
        for start in range(0, len(row) - 24, 24):
            assert row[start : start + 24] not in content
    names = [blob for blob in Container(content, Kind.CLIENT_PLAN) if not blob.startswith("constant/")]
    assert names == ["program"]


def test_plans_of_other_weights_have_other_fingerprints_and_say_no_more(plan):
    """The same network compiled twice is two plans: each has a salt of its own."""
    x = np.random.default_rng(1).uniform(-1, 1, (30, 2, 6, 6))
    args = ({"x": x}, {"x": (-1.0, 1.0)}, OPTIONS)
    again = build_plan(import_model(model()), model().SerializeToString(), *args)
    assert again.header.program == plan.header.program
    assert again.header.weights != plan.header.weights
    assert again.fingerprint != plan.fingerprint


def test_files_that_were_altered_are_refused(plan):
    def refused(changed, match, error=ParameterError):
        with pytest.raises(error, match=match):
            loaded(written(plan, Kind.SERVER_PLAN, changed))

    secrets = plan.secrets
    (name, *_) = secrets.weights
    other = {**secrets.weights, name: secrets.weights[name] + 1}
    refused(replace(plan, secrets=replace(secrets, weights=other)), "weights are not those of the header")
    refused(replace(plan, secrets=replace(secrets, salt=bytes(31))), "a salt of 31 bytes")
    shorter = {**secrets.weights, name: secrets.weights[name][:1]}
    refused(replace(plan, secrets=replace(secrets, weights=shorter)), "do not have the names and shapes")
    refused(replace(plan, secrets=replace(secrets, biases={})), "do not have the names and sizes")
    bytes_ = {**secrets.weights, name: secrets.weights[name].astype(np.int32)}
    refused(replace(plan, secrets=replace(secrets, weights=bytes_)), "integers of 64 bits")
    *first, last = plan.public.instructions
    renamed = replace(plan.public, instructions=(*first, msgspec.structs.replace(last, name="q")))
    refused(replace(plan, public=renamed), "the program's outputs do not have")
    source = replace(plan.public, instructions=(*first, msgspec.structs.replace(last, source="q")))
    refused(replace(plan, public=source), "the program is not the one of the header")
    opened = replace(plan.public, instructions=(*first[:-1], msgspec.structs.replace(first[-1], x=0), last))
    refused(replace(plan, public=opened), "and the client knows it", CircuitError)
    memory = MemoryFile()
    with ContainerWriter(memory, Kind.CLIENT_PLAN, plan.header) as writer:
        write_program(writer, plan)
    with pytest.raises(FileFormatError, match="blobs that a plan does not have"):
        loaded(memory.content)


def test_a_header_that_contradicts_itself_is_refused(plan):
    for change, match in (
        ({"weights": "0"}, "of the weights is not 64"),
        ({"precision": float("inf")}, "a precision of inf"),
        ({"outputs": (msgspec.structs.replace(plan.header.outputs[0], unit=0.0),)}, "a unit of 0"),
    ):
        with pytest.raises(ParameterError, match=match):
            check_sharing_header(msgspec.structs.replace(plan.header, **change))


def test_the_digest_depends_on_every_part(plan):
    secrets = plan.secrets
    digests = {
        weights_digest(secrets),
        weights_digest(replace(secrets, salt=bytes(32))),
        weights_digest(replace(secrets, biases={})),
        weights_digest(replace(secrets, weights=secrets.biases, biases=secrets.weights)),
    }
    assert len(digests) == 4
