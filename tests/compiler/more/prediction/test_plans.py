"""What plans are said to take, beside what they take."""

import time
import tracemalloc

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.compiler.more.prediction.memory import program_bytes
from hecc.compiler.more.prediction.plans import evaluation_use, plan_layers, training_use
from hecc.compiler.more.prediction.values import Values
from hecc.compiler.more.prediction.work import RATES, Rates, Work
from hecc.runtime.errors import InputError
from hecc.runtime.more.arithmetic import EncodedArithmetic, identity
from hecc.runtime.more.keys import generate
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.more.training.loop import train
from hecc.runtime.network.evaluation import evaluate
from hecc.runtime.training.settings import TrainingSettings

RNG = np.random.default_rng(3)
ROWS = 8
FACTOR = 1.3
"""Within which memory is predicted, as docs/more.md says."""


def compiled(kind, size=2, loss="mse"):
    """A dense network, a convolutional one, or one with pooling, residuals and softmax."""
    normal = RNG.normal
    if kind == "dense":
        shape = (256,)
        nodes = [("Gemm", "x w1 b1", "h", {}), ("Tanh", "h", "a", {}), ("Gemm", "a w2", "y", {})]
        weights = {"w1": normal(size=(256, 512)) / 16, "b1": normal(size=512), "w2": normal(size=(512, 8)) / 20}
    else:
        shape = (3, 20, 20)
        nodes = [
            ("Conv", "x k1", "h", {"pads": [1] * 4}),
            ("Softplus", "h", "s", {}),
            ("Conv", "s k2", "g", {"strides": [2, 2], "pads": [1] * 4}),
            ("MaxPool" if kind == "pooled" else "AveragePool", "g", "p", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            ("Sigmoid", "p", "q", {}),
            ("Add", "p q", "r", {}),
            ("Flatten", "r", "f", {}),
            ("Gemm", "f w", "y", {}),
        ]
        weights = {"k1": normal(size=(8, 3, 3, 3)) / 5, "k2": normal(size=(8, 8, 3, 3)) / 9, "w": normal(size=(200, 8))}
    graph = helper.make_graph(
        [helper.make_node(op, given.split(), [made], made, **attributes) for op, given, made, attributes in nodes],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 8])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return hecc.compile(model, scheme="more", train=loss, input_range=(-1, 1), matrix_size=size)


def peak(work):
    """Bytes that NumPy and Python held at the most while something ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def given(program, size, rows):
    key = generate(size)
    return {
        ins.name: key.encode([RNG.uniform(-1, 1, (rows, *ins.shape)) for _ in range(size)])
        for _, ins in program.inputs()
    }


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kind", ["dense", "convolutional", "pooled"])
@pytest.mark.parametrize("trained", [False, True])
def test_values_take_the_memory_that_is_predicted(kind, size, trained):
    plan = compiled(kind, size)
    program, parameters = plan.network, {}
    if trained:
        program = plan.training.step
        parameters = {name: identity(values, size) for name, values in plan.training.parameters.items()}
    rows = given(program, size, 40)
    used = peak(lambda: evaluate(program, EncodedArithmetic(), rows, parameters))
    predicted = program_bytes(Values(program, size, 40, tuple(parameters)))
    assert used / FACTOR < predicted < used * FACTOR
    fewer = program_bytes(Values(program, size, 10, tuple(parameters)))
    assert fewer < predicted


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_training_takes_the_memory_that_is_predicted(kind, optimizer, tmp_path):
    plan = compiled(kind)
    client = hecc.Client(plan, min_security="none")
    client.keygen(tmp_path / "keys")
    shape = plan.header.inputs[0].shape
    request = client.encrypt_to(
        tmp_path / "rows.bin", RNG.uniform(-1, 1, (96, *shape)), labels=RNG.uniform(0, 1, (96, 8))
    )
    settings = TrainingSettings(batch_size=48, optimizer=optimizer, learning_rate=1e-4)
    used = peak(lambda: train(plan, request, settings))
    memory = training_use(plan, rows=96, batch_size=48, optimizer=optimizer).memory
    # What the plan holds was there before.
    predicted = memory.weights - sum(array.nbytes for array in plan.training.step.arrays.values()) + memory.values
    assert used / FACTOR < predicted < used * FACTOR
    numbers = 4 * 8 * 96 * (np.prod(shape) + 8)
    assert memory.rows == numbers
    assert memory.total == memory.program + memory.weights + memory.values + memory.rows


def test_fewer_rows_than_are_worked_on_together_take_less():
    plan = compiled("dense")
    few, many, more = (evaluation_use(plan, rows=rows) for rows in (3, 1 << 14, 1 << 15))
    assert few.together == 3
    assert many.together == more.together < 1 << 14
    assert few.memory.values < many.memory.values == more.memory.values
    assert 2 * many.memory.rows == more.memory.rows


def fastest(work):
    """Seconds that work takes: of the processor, or of the clock where idle threads of a library spin beside it."""
    best, times, until = np.inf, 0, time.perf_counter() + 0.5
    while times < 3 or time.perf_counter() < until:
        times += 1
        start, began = time.process_time(), time.perf_counter()
        work()
        best = min(best, time.process_time() - start, time.perf_counter() - began)
    return best


TIMES = 20
"""Within which time is predicted on any machine, however busy: of one like that of the rates it is within two."""


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_time_of_an_evaluation_is_predicted_within_a_factor_on_any_machine(kind, size):
    plan = compiled(kind, size)
    use = evaluation_use(plan, rows=ROWS)
    rows = given(plan.network, size, use.together)
    taken = fastest(lambda: evaluate(plan.network, EncodedArithmetic(), rows, {}))
    assert taken / TIMES < use.seconds * use.together < taken * TIMES


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_time_of_an_epoch_is_predicted_within_a_factor_on_any_machine(kind, size, tmp_path):
    """With the update of the weights, which of few rows takes longer than their gradients."""
    plan = compiled(kind, size)
    client = hecc.Client(plan, min_security="none")
    client.keygen(tmp_path / "keys")
    shape = plan.header.inputs[0].shape
    inputs, labels = RNG.uniform(-1, 1, (ROWS, *shape)), RNG.uniform(0, 1, (ROWS, 8))
    request = client.encrypt_to(tmp_path / "rows.bin", inputs, labels=labels)
    settings = TrainingSettings(batch_size=ROWS, learning_rate=1e-4)
    taken = fastest(lambda: train(plan, request, settings))
    use = training_use(plan, rows=ROWS, batch_size=ROWS)
    assert taken / TIMES < use.seconds * ROWS < taken * TIMES


def test_layers_are_those_of_the_network():
    plan = compiled("convolutional", loss="cross-entropy")
    layers = plan_layers(plan)
    names = [layer.source for layer in layers]
    assert names[:3] == ["input 'x'", "Conv 'h'", "Softplus 's'"]
    assert names[-2:] == ["Gemm 'y'", "loss cross-entropy"]
    by_name = dict(zip(names, layers, strict=True))
    assert [layer.is_input for layer in layers].count(True) == 1
    assert by_name["Add 'r'"].reads == tuple(sorted((names.index("AveragePool 'p'"), names.index("Sigmoid 'q'"))))
    assert by_name["Conv 'h'"].parameters == 8 * 3 * 9
    assert by_name["Gemm 'y'"].outputs == ("y",)
    assert by_name["Conv 'g'"].shape == (1, 8, 10, 10)
    assert sum(layer.share for layer in layers) == pytest.approx(1)
    assert sum(layer.seconds for layer in layers) == pytest.approx(evaluation_use(plan, rows=1 << 20).seconds)
    assert by_name["loss cross-entropy"].seconds == 0 < by_name["loss cross-entropy"].training_seconds
    # Gradients are their layer's.
    assert by_name["Conv 'g'"].training_seconds > 2 * by_name["Conv 'g'"].seconds


def test_a_clients_plan_says_nothing():
    client = compiled("dense").client()
    assert isinstance(client, MorePlan)
    for asked in (plan_layers, evaluation_use, training_use):
        with pytest.raises(InputError, match="this is the client's plan"):
            asked(client)


def test_seconds_are_sums():
    rates = Rates(1.0, 10.0, 100.0, 1000.0)
    assert rates.seconds(Work(1, 2, 3, 4) + Work(calls=1)) == 2 + 20 + 300 + 4000
    assert 0 < RATES.product < RATES.number < RATES.call < 1e-4
