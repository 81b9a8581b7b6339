"""Plans under MORE: what networks of all kinds compute, encoded, and what is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.compiler.importer import import_model
from hecc.runtime.errors import InputError, UnsupportedError
from hecc.runtime.files.container import ContainerWriter, Kind
from hecc.runtime.files.memory import MemoryFile
from hecc.runtime.more.keyfiles import KeyHeader
from hecc.runtime.more.keys import generate

RNG = np.random.default_rng(8)


def network(*kinds, shape=(1, 6, 6), **attributes):
    """A convolution, and then some operators."""
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["v0"], "conv")]
    for number, kind in enumerate(kinds):
        nodes.append(
            helper.make_node(kind, [f"v{number}"], [f"v{number + 1}"], f"n{number}", **attributes.get(kind, {}))
        )
    weights = {"w": RNG.normal(size=(2, 1, 3, 3)) / 3, "b": RNG.normal(size=2)}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *shape])],
        [helper.make_tensor_value_info(f"v{len(kinds)}", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def encoded(plan, rows):
    """What a server makes of encoded rows, decoded."""
    client = hecc.Client(plan, generate_file(plan), min_security="none")
    with hecc.Server(plan, evaluation_file(client)) as server:
        request = client.encrypt(rows)
        return client.decrypt(server.run(request), request=request)


def generate_file(plan):
    """The bytes of a key."""
    key = generate(plan.header.size)
    with ContainerWriter(
        memory := MemoryFile(), Kind.SECRET_KEY, KeyHeader(key_id=key.key_id, size=key.size)
    ) as writer:
        writer.add("matrix", key.matrix)
    return memory.content


def evaluation_file(client):
    """The bytes that name the client's key set."""
    header = KeyHeader(key_id=client.key_id, size=client.plan.header.size)
    with ContainerWriter(memory := MemoryFile(), Kind.EVALUATION_KEYS, header):
        pass
    return memory.content


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kinds", [("Tanh", "AveragePool"), ("Relu", "MaxPool"), ("Softplus", "Flatten", "LogSoftmax")])
def test_results_are_those_in_clear(kinds, size):
    pools = {kind: {"kernel_shape": [2, 2], "strides": [2, 2]} for kind in ("AveragePool", "MaxPool")}
    model = network(*kinds, **pools)
    rows = RNG.uniform(0, 1, (5, 1, 6, 6))
    plan = hecc.compile(model, scheme="more", calibration=rows, input_range=(0, 1), matrix_size=size)
    (found,) = encoded(plan, rows).values()
    graph = import_model(model)
    expected = graph.evaluate({"x": rows})[graph.outputs[0]].reshape(5, -1)
    (simulated,) = hecc.simulate(plan, rows).values()
    np.testing.assert_allclose(found.reshape(5, -1), simulated.reshape(5, -1), rtol=0, atol=1e-12)
    if "LogSoftmax" not in kinds:
        np.testing.assert_allclose(found.reshape(5, -1), expected, rtol=0, atol=1e-12)


def test_one_row_has_a_decoy_of_its_range():
    rows = RNG.uniform(0, 1, (1, 1, 6, 6))
    plan = hecc.compile(network("Tanh"), scheme="more", input_range=(0, 1))
    (found,) = encoded(plan, rows).values()
    (simulated,) = hecc.simulate(plan, rows).values()
    np.testing.assert_allclose(found, simulated, atol=1e-12)


def test_comparisons_are_refused_where_they_are_not_wanted():
    with pytest.raises(
        UnsupportedError, match=r"Relu 'n0' and MaxPool 'n1': they compare .* --comparisons exact or smooth"
    ):
        hecc.compile(network("Relu", "MaxPool", MaxPool={"kernel_shape": [2, 2]}), scheme="more", comparisons="refuse")
    assert hecc.compile(network("Tanh"), scheme="more", comparisons="refuse").header.scheme == "more"


def test_comparisons_may_be_smooth_and_are_named():
    model = network("Relu", "MaxPool", MaxPool={"kernel_shape": [2, 2]})
    rows = RNG.uniform(0, 1, (30, 1, 6, 6))
    exact, smooth = (
        hecc.compile(model, scheme="more", calibration=rows, comparisons=comparisons)
        for comparisons in ("exact", "smooth")
    )
    assert exact.header.smoothed == ()
    assert smooth.header.smoothed[0].partition(" by ")[0] == "relu of Relu 'n0'"
    assert any(words.startswith("abs of MaxPool 'n1'") for words in smooth.header.smoothed)
    (found,), (expected,) = (encoded(plan, rows).values() for plan in (smooth, exact))
    assert 0 < np.abs(found - expected).max() < 5e-3
    names = [name for name, _ in smooth.scheme.facts(smooth.header)]
    assert names.count("comparison") == len(smooth.header.smoothed)
    pool = {"kernel_shape": [2, 2]}
    trained = hecc.compile(
        network("Relu", "AveragePool", AveragePool=pool),
        scheme="more",
        calibration=rows,
        comparisons="smooth",
        train="mse",
    )
    ops = {step.op for ins in trained.training.step.instructions if ins.op == "function" for step in ins.function}
    assert "sqrt" in ops
    assert not ops & {"relu", "positive"}


def test_what_is_trained_is_what_the_file_has():
    plan = hecc.compile(network("Tanh", "Flatten"), scheme="more", train="mse", input_range=(0, 1))
    assert plan.header.training.parameters == ("w", "b")
    again = hecc.Plan.loads(plan.dumps())
    assert again.fingerprint == plan.fingerprint
    assert again.training.initializers == plan.training.initializers
    assert onnx.load_model_from_string(again.training.model).graph.initializer[0].name == "w"


@pytest.mark.parametrize(
    ("kinds", "loss", "sentence"),
    [
        (("Flatten", "Sigmoid"), "mse", "the network ends in sigmoid, which the loss mse does not take"),
        (("Flatten", "Softmax"), "mse", "the network ends in softmax"),
    ],
)
def test_a_loss_that_does_not_fit_the_network_is_refused(kinds, loss, sentence):
    with pytest.raises(UnsupportedError, match=sentence):
        hecc.compile(network(*kinds), scheme="more", train=loss)


def test_options_that_cannot_be_are_refused():
    for option, value in (("train", "hinge"), ("comparisons", "maybe"), ("matrix_size", 1), ("matrix_size", 9)):
        with pytest.raises(InputError):
            hecc.compile(network("Tanh"), scheme="more", **{option: value})
    with pytest.raises(InputError, match="train: this option is for the scheme more"):
        hecc.compile(network("Tanh"), train="mse")


def test_tensors_of_more_axes_than_files_have_are_refused():
    graph = helper.make_graph(
        [helper.make_node("Tanh", ["x"], ["y"])],
        "deep",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *(1,) * 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(UnsupportedError, match=r"'x' has 6 axes besides that of the rows, .* takes 5; .* Reshape"):
        hecc.compile(model, scheme="more", input_range=(-1, 1))
