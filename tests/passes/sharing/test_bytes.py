"""Bytes of whole networks of the literature: payload in both directions, online and ahead of the input together.

Weights are random: bytes depend on shapes and magnitudes alone. Values and weights have twelve bits, two more than
outputs are asked for, and ranges are observed; rings of layers then have 24 to 32 bits.
"""

from itertools import pairwise

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from hecc.compiler.graph.passes import run_passes
from hecc.compiler.importer import import_model
from hecc.compiler.sharing.lowering import Accuracy, lower
from hecc.passes.sharing.pipeline import PASSES
from hecc.runtime.sharing.parties.walk import Checked, program_cost
from hecc.runtime.sharing.program.instructions import Affine, Knot

ROWS = 4
POOL = "MaxPool<kernel_shape=[2,2], strides=[2,2]>"
AVERAGE = "AveragePool<kernel_shape=[2,2], strides=[2,2]>"


class Network:
    """An architecture that grows layer by layer; convolutions are followed by ReLU."""

    def __init__(self, *shape):
        self.shape, self.body, self.weights, self.last = shape, [], {}, "x"

    def node(self, text):
        name = f"v{len(self.body)}"
        self.body.append(f"{name} = {text}")
        self.last = name
        return self

    def weight(self, *shape):
        name = f"w{len(self.weights)}"
        self.weights[name] = np.random.default_rng(len(self.weights)).normal(
            scale=np.sqrt(2 / np.prod(shape[1:])), size=shape
        )
        return name

    def dense(self, inside, outside):
        return self.node(f"Gemm<transB=1>({self.last}, {self.weight(outside, inside)})")

    def conv(self, inside, outside, kernel, pad=0, stride=1):
        weight = self.weight(outside, inside, kernel, kernel)
        return self.node(f"Conv<pads=[{pad},{pad},{pad},{pad}], strides=[{stride},{stride}]>({self.last}, {weight})")

    def relu(self):
        return self.node(f"Relu({self.last})")

    def apply(self, operator):
        return self.node(f"{operator}({self.last})")

    def block(self, inside, outside, stride):
        """Of a residual network."""
        before = self.last
        branch = self.conv(inside, outside, 3, 1, stride).relu().conv(outside, outside, 3, 1).last
        self.last = before
        other = before if inside == outside else self.conv(inside, outside, 1, 0, stride).last
        return self.node(f"Add({branch}, {other})").relu()

    def checked(self, accuracy=12):
        """The program that all parties run."""
        dims = ",".join(map(str, self.shape))
        graph = onnx.parser.parse_graph(
            f"g (float[N,{dims}] x) => (float[N,C] {self.last}) {{ {' '.join(self.body)} }}"
        )
        for name, values in self.weights.items():
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
        imported = run_passes(PASSES, import_model(model), None)
        x = np.random.default_rng(0).uniform(0, 1, (ROWS, *self.shape))
        observed = {name: float(np.abs(each).max()) for name, each in imported.evaluate({"x": x}).items()}
        lowered = lower(imported, observed, {"x": (0.0, 1.0)}, Accuracy(accuracy, accuracy), margin=4.0)
        return Checked.of(lowered.built.program)


def mlp(*sizes):
    network = Network(sizes[0])
    for inside, outside in pairwise(sizes[:-1]):
        network.dense(inside, outside).relu()
    return network.dense(*sizes[-2:])


def minionn_mnist():
    network = Network(1, 28, 28).conv(1, 16, 5).relu().apply(POOL).conv(16, 16, 5).relu().apply(POOL)
    return network.apply("Flatten").dense(256, 100).relu().dense(100, 10)


def minionn_cifar():
    network = Network(3, 32, 32).conv(3, 64, 3, 1).relu().conv(64, 64, 3, 1).relu().apply(AVERAGE)
    network.conv(64, 64, 3, 1).relu().conv(64, 64, 3, 1).relu().apply(AVERAGE)
    network.conv(64, 64, 3, 1).relu().conv(64, 64, 1).relu().conv(64, 16, 1).relu()
    return network.apply("Flatten").dense(1024, 10)


def resnet_20():
    network, inside = Network(3, 32, 32).conv(3, 16, 3, 1).relu(), 16
    for outside in (16, 32, 64):
        for number in range(3):
            network.block(inside, outside, 2 if number == 0 and inside != outside else 1)
            inside = outside
    return network.apply("GlobalAveragePool").apply("Flatten").dense(64, 10)


def malaria():
    network = Network(1, 32, 32).conv(1, 36, 5).relu().apply(POOL).conv(36, 36, 5).relu().apply(POOL)
    return network.apply("Flatten").dense(900, 72).relu().dense(72, 2)


NETWORKS = {
    "SecureML": (lambda: mlp(784, 128, 128, 10), 20_000, 10),
    "breast": (lambda: mlp(30, 16, 16, 2), 4_000, 10),
    "diabetes": (lambda: mlp(8, 20, 20, 2), 4_000, 10),
    "liver": (lambda: mlp(10, 32, 32, 2), 4_000, 10),
    "MiniONN MNIST": (minionn_mnist, 500_000, 30),
    "malaria": (malaria, 1_500_000, 30),
    "MiniONN CIFAR-10": (minionn_cifar, 9_000_000, 30),
    "ResNet-20": (resnet_20, 10_000_000, 78),
}
"""By name: the architecture, bytes of an inference at the most, and messages."""

SLOW = {"MiniONN CIFAR-10", "ResNet-20"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NETWORKS])
def test_a_network_of_the_literature_takes_few_bytes(name):
    architecture, most, messages = NETWORKS[name]
    checked = architecture().checked()
    cost = program_cost(checked)
    rings = [ins.ring for ins in checked.program.instructions if isinstance(ins, Affine) and ins.private]
    assert 24 <= min(rings) <= max(rings) <= 32
    assert cost.online() + cost.block_bytes + cost.upload_bytes <= most
    assert len(cost.messages) == messages


def test_a_relu_takes_ten_bytes_online_and_45_with_its_material():
    """With all that the layer before it takes ahead of the input, and in four messages."""
    checked = mlp(784, 128, 128, 10).checked()
    instructions = checked.program.instructions
    cost = program_cost(checked)
    relus = [each for ins, each in zip(instructions, cost.instructions, strict=True) if isinstance(ins, Knot)]
    online = sum(message.bytes(1) for relu in relus for message in relu.messages)
    assert [len(relu.messages) for relu in relus] == [4, 4]
    assert online <= 10 * 256
    assert online + cost.block_bytes + cost.upload_bytes <= 45 * 256
