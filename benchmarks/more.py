"""What the scheme more costs beside the same code on numbers: time and peak memory of layers and of training steps.

    python benchmarks/more.py

Prints a table in Markdown. Both sides run the same programs by the same loop (:mod:`hecc.runtime.network`); only the
arithmetic differs.
"""

from __future__ import annotations

import itertools
import os
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

# Before NumPy is loaded: seconds of the processor are compared, and a thread that waits for others uses them, too.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from hecc.compiler.graph.gradients.training import training_program
from hecc.compiler.graph.programs.nodes import graph_program
from hecc.compiler.importer import import_model
from hecc.runtime.more.arithmetic import EncodedArithmetic, commuting_basis, identity
from hecc.runtime.more.keys import generate
from hecc.runtime.more.server import rows_at_a_time
from hecc.runtime.network.evaluation import PlainArithmetic, evaluate
from hecc.runtime.training.names import TARGET
from hecc.runtime.training.settings import TrainingSettings
from hecc.runtime.training.trainer import Checkpoint, Trainer

RANDOM = np.random.default_rng(0)
REPEATS = 7


def network(kind: str) -> tuple[Any, tuple[int, ...]]:
    """A dense network, or a convolutional one, with tanh."""
    if kind == "dense":
        shape: tuple[int, ...] = (512,)
        sizes = (512, 512, 256, 10)
        nodes, weights, last = [], {}, "x"
        for k, (inner, outer) in enumerate(itertools.pairwise(sizes)):
            nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [f"h{k}"]))
            weights |= {f"w{k}": RANDOM.normal(size=(inner, outer)) / np.sqrt(inner), f"b{k}": np.zeros(outer)}
            last = f"h{k}"
            if outer != sizes[-1]:
                nodes.append(helper.make_node("Tanh", [last], [f"a{k}"]))
                last = f"a{k}"
    else:
        shape = (3, 24, 24)
        nodes = [
            helper.make_node("Conv", ["x", "k0"], ["h0"], pads=[1] * 4),
            helper.make_node("Tanh", ["h0"], ["a0"]),
            helper.make_node("Conv", ["a0", "k1"], ["h1"], strides=[2, 2]),
            helper.make_node("Tanh", ["h1"], ["a1"]),
            helper.make_node("Flatten", ["a1"], ["f"]),
            helper.make_node("MatMul", ["f", "w"], ["y"]),
        ]
        weights = {
            "k0": RANDOM.normal(size=(16, 3, 3, 3)) / 5,
            "k1": RANDOM.normal(size=(32, 16, 3, 3)) / 12,
            "w": RANDOM.normal(size=(32 * 121, 10)) / 62,
        }
        last = "y"
    graph = helper.make_graph(
        nodes,
        kind,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *shape])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return import_model(model), shape


def seconds(work: Callable[[], Any]) -> float:
    """Of the processor, in the shortest of several runs, the first of which only warms up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def peak(work: Callable[[], Any]) -> int:
    """Bytes that NumPy held at the most while something ran."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def main() -> None:
    """Measure and print."""
    print("| network | rows | what | in clear | encoded | factor | memory |")
    print("|---|---|---|---|---|---|---|")
    for kind in ("dense", "convolutional"):
        graph, shape = network(kind)
        program, step = graph_program(graph), training_program(graph, graph.outputs[0], "mse", list(graph.parameters))
        # As many as a server evaluates together; of the dense network some thousand.
        rows = min(256, rows_at_a_time(program, 2))
        x, target = RANDOM.normal(size=(rows, *shape)), RANDOM.normal(size=(rows, 10))
        key = generate(2)
        encoded = {name: key.encode([each, each[::-1].copy()]) for name, each in (("x", x), (TARGET, target))}
        weights = {name: np.asarray(each, dtype=np.float64) for name, each in graph.parameters.items()}
        hidden = {name: identity(each, 2) for name, each in weights.items()}
        arithmetic: Any = EncodedArithmetic(commuting_basis(encoded.values()))

        def trained(values: Any, start: Any, own: Any, program: Any = step) -> Callable[[], Any]:
            settings = TrainingSettings(optimizer="adam")
            return lambda: Trainer(program, own, settings, Checkpoint(0, start)).step(values, 1)

        works = {
            "plain weights": (
                lambda p=program, v=x: evaluate(p, PlainArithmetic(), {"x": v}, {}),
                lambda p=program, v=encoded["x"], a=arithmetic: evaluate(p, a, {"x": v}, {}),
            ),
            "encoded weights": (
                lambda p=program, v=x, w=weights: evaluate(p, PlainArithmetic(), {"x": v}, w),
                lambda p=program, v=encoded["x"], w=hidden, a=arithmetic: evaluate(p, a, {"x": v}, w),
            ),
            "a training step": (
                trained({"x": x, TARGET: target}, weights, PlainArithmetic()),
                trained(encoded, hidden, arithmetic),
            ),
        }
        for what, (clear, hiding) in works.items():
            one, other = seconds(clear), seconds(hiding)
            memory = peak(hiding) / peak(clear)
            times = f"{1000 * one:.1f} ms | {1000 * other:.1f} ms | {other / one:.1f}"
            print(f"| {kind} | {rows} | {what} | {times} | {memory:.1f} times |")


if __name__ == "__main__":
    main()
