"""Batch normalisation, trained: step by step as PyTorch does, in clear and encoded."""

import dataclasses

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.network.evaluation import PlainArithmetic
from hecc.runtime.training.settings import TrainingSettings
from hecc.runtime.training.trainer import Checkpoint, DivergedError, Trainer

RNG = np.random.default_rng(17)
MAPS, CLASSES = 4, 3


def single(number):
    """As an attribute of an ONNX file holds it."""
    return float(np.float32(number))


def weights():
    random = np.random.default_rng(1)
    found = {
        "k": random.normal(size=(MAPS, 1, 3, 3)) / 3,
        "g1": random.uniform(0.5, 1.5, MAPS),
        "s1": random.normal(size=MAPS) / 5,
        "m1": random.normal(size=MAPS) / 9,
        "v1": random.uniform(0.5, 2, MAPS),
        "w": random.normal(size=(MAPS * 16, 6)) / 8,
        "g2": random.uniform(0.5, 1.5, 6),
        "s2": random.normal(size=6) / 5,
        "m2": random.normal(size=6) / 9,
        "v2": random.uniform(0.5, 2, 6),
        "u": random.normal(size=(6, CLASSES)) / 2,
    }
    return {name: values.astype(np.float32) for name, values in found.items()}


def network():
    """A batch normalisation of images, and one of vectors with a momentum of its own."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("BatchNormalization", ["a", "g1", "s1", "m1", "v1"], ["b"], "bn1", epsilon=1e-3),
        helper.make_node("Tanh", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "w"], ["e"]),
        helper.make_node("BatchNormalization", ["e", "g2", "s2", "m2", "v2"], ["f"], "bn2", momentum=0.7),
        helper.make_node("Sigmoid", ["f"], ["h"]),
        helper.make_node("MatMul", ["h", "u"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "normalised",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(values, name) for name, values in weights().items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def pytorch():
    """The same in PyTorch, in double precision, and its parameters by name."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    layers = {
        "conv": nn.Conv2d(1, MAPS, 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(MAPS, eps=single(1e-3), momentum=0.1),
        "dense": nn.Linear(MAPS * 16, 6, bias=False),
        "bn2": nn.BatchNorm1d(6, momentum=1 - single(0.7)),
        "last": nn.Linear(6, CLASSES, bias=False),
    }
    module = nn.Sequential(
        layers["conv"],
        layers["bn1"],
        nn.Tanh(),
        nn.Flatten(),
        layers["dense"],
        layers["bn2"],
        nn.Sigmoid(),
        layers["last"],
    ).double()
    named = {"k": layers["conv"].weight, "w": layers["dense"].weight, "u": layers["last"].weight}
    for number in "12":
        bn = layers[f"bn{number}"]
        named |= {f"g{number}": bn.weight, f"s{number}": bn.bias}
        named |= {f"m{number}": bn.running_mean, f"v{number}": bn.running_var}
    with torch.no_grad():
        for name, values in weights().items():
            value = torch.tensor(values.astype(np.float64))
            named[name].copy_(value.T if name in "wu" else value)
    return torch, module, named


def data(rows=42):
    random = np.random.default_rng(3)
    labels = random.integers(0, CLASSES, rows)
    means = random.normal(size=(CLASSES, 1, 4, 4))
    return np.clip(means[labels] + 0.4 * random.normal(size=(rows, 1, 4, 4)), -4, 4), labels


@pytest.fixture(scope="module")
def plan():
    return hecc.compile(network(), scheme="more", train="cross-entropy", input_range=(-4, 4))


def test_all_four_tensors_of_each_are_trained(plan, caplog):
    assert sorted(plan.header.training.parameters) == sorted(weights())
    assert [each.name for each in plan.training.statistics] == ["m1", "v1", "m2", "v2"]
    assert [each.momentum for each in plan.training.statistics] == pytest.approx([0.9, 0.9, 0.7, 0.7])
    assert "not trained" not in caplog.text
    assert hecc.Plan.loads(plan.dumps()).training.statistics == plan.training.statistics


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_training_goes_step_by_step_as_pytorchs(plan, optimizer):
    torch, module, named = pytorch()
    x, labels = data()
    target = np.eye(CLASSES)[labels]
    rate = 0.02
    theirs = {
        "sgd": lambda: torch.optim.SGD(module.parameters(), lr=rate),
        "momentum": lambda: torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9),
        "adam": lambda: torch.optim.Adam(module.parameters(), lr=rate),
    }[optimizer]()
    settings = TrainingSettings(optimizer=optimizer, learning_rate=rate)
    training = plan.training
    ours = Trainer(
        training.step, PlainArithmetic(), settings, Checkpoint(0, dict(training.parameters)), training.statistics
    )
    module.train()
    for step in range(100):
        # Batches of several sizes: the correction of a variance depends on it.
        chosen = slice(0, 15) if step % 2 else slice(15, 42)
        loss = ours.step({"x": x[chosen], "target": target[chosen]}, 100)
        theirs.zero_grad()
        value = torch.nn.functional.cross_entropy(module(torch.tensor(x[chosen])), torch.tensor(labels[chosen]))
        value.backward()
        theirs.step()
        assert float(loss) == pytest.approx(value.item(), abs=1e-8)
        for name, tensor in named.items():
            values = tensor.detach().numpy()
            found = ours.checkpoint.parameters[name]
            np.testing.assert_allclose(found, values.T if name in "wu" else values, rtol=0, atol=1e-8, err_msg=name)


def test_encoded_training_is_that_in_clear_and_runs_by_the_averages(plan, tmp_path):
    x, labels = data()
    client = hecc.Client(plan, min_security="none")
    client.keygen(tmp_path / "keys")
    client.encrypt_to(tmp_path / "rows.bin", x, labels=labels)
    settings = {"epochs": 40, "batch_size": 14, "optimizer": "adam", "learning_rate": 0.02}
    assert hecc.train(plan, tmp_path / "rows.bin", tmp_path / "trained.bin", **settings).steps == 120
    model, losses = hecc.trained_model(client, tmp_path / "trained.bin")
    clear, expected = hecc.train_in_clear(plan, x, labels, **settings)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-8)
    made, known = (
        {each.name: numpy_helper.to_array(each) for each in onnx.load_model_from_string(each_model).graph.initializer}
        for each_model in (model, clear)
    )
    for name, values in weights().items():
        np.testing.assert_allclose(made[name], known[name], rtol=0, atol=1e-6, err_msg=name)
        assert np.abs(made[name] - values).max() > 1e-3, name
    runtime = pytest.importorskip("onnxruntime")
    (found,) = runtime.InferenceSession(model).run(None, {"x": x.astype(np.float32)})
    assert (found.argmax(1) == labels).mean() > 0.9


@pytest.mark.parametrize("forged", [np.ones(6, dtype=np.float32), np.full(6, np.inf), np.ones(6, dtype=np.int64)])
def test_forged_averages_are_refused(plan, forged):
    training = dataclasses.replace(plan.training, parameters={**plan.training.parameters, "v2": forged})
    with pytest.raises(FileFormatError, match=r"an impossible plan .a parameter that is trained is no array"):
        hecc.Plan.loads(dataclasses.replace(plan, training=training).dumps())


@pytest.mark.parametrize("names", [("m1", "v1", "m2", "m2"), ("m1", "v1", "m2", "z")])
def test_averages_of_no_parameter_or_of_one_twice_are_refused(plan, names):
    statistics = tuple(
        msgspec.structs.replace(each, name=name) for each, name in zip(plan.training.statistics, names, strict=True)
    )
    forged = dataclasses.replace(plan, training=dataclasses.replace(plan.training, statistics=statistics))
    with pytest.raises(FileFormatError, match="an impossible plan"):
        hecc.Plan.loads(forged.dumps())


def test_one_row_has_no_variance(plan):
    x, labels = data(29)
    with pytest.raises(InputError, match=r"batch normalization of 'v2' divides by; choose a batch size of 2 or more"):
        hecc.train_in_clear(plan, x, labels, batch_size=14)
    with pytest.raises(InputError, match="a batch of one row has no variance"):
        hecc.train_in_clear(plan, x, labels, batch_size=1)


def test_an_average_that_leaves_its_range_is_said_with_its_layer(plan):
    start = Checkpoint(0, {**plan.training.parameters, "v2": np.full(6, 1e12)})
    trainer = Trainer(plan.training.step, PlainArithmetic(), TrainingSettings(), start, plan.training.statistics)
    x, labels = data(4)
    with pytest.raises(DivergedError, match=r"^step 1 .* in the parameter 'v2' of BatchNormalization 'bn2', by a step"):
        trainer.step({"x": x, "target": np.eye(CLASSES)[labels]}, 10)


def test_a_training_goes_on_with_its_averages(plan, tmp_path):
    x, labels = data()
    client = hecc.Client(plan, min_security="none")
    client.keygen(tmp_path / "keys")
    client.encrypt_to(tmp_path / "rows.bin", x, labels=labels)
    settings = {"epochs": 3, "batch_size": 21}

    def stop(done, steps, loss):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hecc.train(plan, tmp_path / "rows.bin", tmp_path / "out.bin", progress=stop, **settings)
    for name in ("out.bin", "whole.bin"):
        hecc.train(plan, tmp_path / "rows.bin", tmp_path / name, **settings)
    one, other = (hecc.trained_model(client, tmp_path / name)[0] for name in ("out.bin", "whole.bin"))
    assert one == other
