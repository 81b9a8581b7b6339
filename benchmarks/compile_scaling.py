"""Is compilation linear in the non-zeros? Compiles networks of growing size and prints what each took.

    python benchmarks/compile_scaling.py

Each network is compiled in a process of its own, so that the peak memory is its own. The last columns, seconds and
bytes per non-zero beyond those of the smallest network, stay level where compilation is linear and grow where not.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.runtime.ckks.circuit.instructions import LinearTransform

DENSE = ("dense", (128, 256, 512, 1024, 2048))
CONVOLUTION = ("convolution", (4, 8, 16, 32, 64))


def main() -> None:
    """Compile every network and print one line for each."""
    for kind, sizes in (DENSE, CONVOLUTION):
        print(f"{kind:>12} {'non-zeros':>12} {'seconds':>9} {'peak MB':>9} {'us / nz':>9} {'bytes / nz':>11}")
        first: dict[str, float] = {}
        for size in sizes:
            row = json.loads(subprocess.check_output([sys.executable, __file__, kind, str(size)]))
            first = first or row
            more = row["nonzeros"] - first["nonzeros"]
            each = [
                f"{(row[key] - first[key]) / more * unit:.2f}" if more else "-"
                for key, unit in (("seconds", 1e6), ("bytes", 1.0))
            ]
            print(
                f"{size:>12} {row['nonzeros']:>12} {row['seconds']:>9.2f} {row['bytes'] / 2**20:>9.0f} "
                f"{each[0]:>9} {each[1]:>11}"
            )


def compile_one(kind: str, size: int) -> dict[str, float]:
    """Compile one network; called in a process of its own."""
    model = dense(size) if kind == "dense" else convolution(size)
    hecc.compile(dense(8) if kind == "dense" else convolution(1))
    start = time.perf_counter()
    plan = hecc.compile(model)
    seconds = time.perf_counter() - start
    assert plan.circuit is not None
    transforms = [ins for ins in plan.circuit.instructions if isinstance(ins, LinearTransform)]
    return {
        "nonzeros": sum(len(plan.circuit.diagonals(ins).values) for ins in transforms),
        "seconds": seconds,
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def dense(size: int) -> onnx.ModelProto:
    """Two square layers with a square between them."""
    weights = {"w1": (size, size), "w2": (size, size)}
    nodes = [("MatMul", ["x", "w1"], "h"), ("Mul", ["h", "h"], "s"), ("MatMul", ["s", "w2"], "y")]
    return model(nodes, weights, [1, size], [1, size])


def convolution(channels: int) -> onnx.ModelProto:
    """Two convolutions of stride two with a square between them, on 28x28."""
    weights = {"w1": (channels, 1, 5, 5), "w2": (2 * channels, channels, 5, 5)}
    nodes = [("Conv", ["x", "w1"], "h"), ("Mul", ["h", "h"], "s"), ("Conv", ["s", "w2"], "y")]
    return model(nodes, weights, [1, 1, 28, 28], [1, 2 * channels, 7, 7])


def model(
    nodes: Sequence[tuple[str, list[str], str]],
    weights: dict[str, tuple[int, ...]],
    given: list[int],
    result: list[int],
) -> onnx.ModelProto:
    """An ONNX model with random weights."""
    generator = np.random.default_rng(0)
    initializers = [
        numpy_helper.from_array((generator.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), name)
        for name, shape in weights.items()
    ]
    made = [
        helper.make_node(op, reads, [writes], **({"strides": [2, 2], "pads": [2, 2, 2, 2]} if op == "Conv" else {}))
        for op, reads, writes in nodes
    ]
    graph = helper.make_graph(
        made,
        "scaling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        json.dump(compile_one(sys.argv[1], int(sys.argv[2])), sys.stdout)
    else:
        main()
