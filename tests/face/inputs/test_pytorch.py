"""PyTorch modules: exported in memory, compiled, and as right as PyTorch itself. Skipped without PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hecc
from hecc.inputs.pytorch import is_module

torch: Any = pytest.importorskip("torch", reason="needs PyTorch")
pytest.importorskip("onnxscript", reason="PyTorch's exporter needs onnxscript")


class Square(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    def forward(self, x: Any) -> Any:
        return x * x


def network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, stride=2),
        torch.nn.BatchNorm2d(3),
        Square(),
        torch.nn.Dropout(0.5),
        torch.nn.Flatten(),
        torch.nn.Linear(27, 4),
        torch.nn.Softmax(dim=1),
    )


@pytest.mark.parametrize("rows", [1, 5])
def test_a_module_is_compiled_like_its_export(rows: int) -> None:
    module, images = network(), torch.rand(20, 1, 8, 8)
    plan = hecc.compile(module, example_input=images[:rows], calibration=images.numpy())
    assert module.training, "the module stays as it is"
    expected = module.eval()(images).detach().numpy()
    (found,) = hecc.simulate(plan, images.numpy()).values()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_module_of_two_inputs() -> None:
    class Both(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = torch.nn.Linear(3, 2), torch.nn.Linear(4, 2)

        def forward(self, a: Any, b: Any) -> Any:
            return self.left(a) - self.right(b)

    module, examples = Both(), (torch.rand(2, 3), torch.rand(2, 4))
    plan = hecc.compile(module, example_input=examples, input_range=(0.0, 1.0))
    names = [signature.name for signature in plan.header.inputs]
    found = hecc.simulate(plan, {name: tensor.numpy() for name, tensor in zip(names, examples, strict=True)})
    (values,) = found.values()
    np.testing.assert_allclose(values, module(*examples).detach().numpy(), atol=2e-3)


@pytest.mark.parametrize(
    ("example", "says"),
    [
        (None, "a PyTorch module has no input shape of its own; give example_input"),
        (np.zeros((1, 1, 8, 8)), "example_input is neither a tensor nor a sequence of tensors"),
        (torch.zeros(0, 1, 8, 8), "example_input holds a tensor without elements"),
    ],
)
def test_an_example_input_that_is_none_is_refused(example: Any, says: str) -> None:
    with pytest.raises(hecc.InputError, match=says):
        hecc.compile(network(), example_input=example)


def test_what_pytorch_cannot_export_is_a_sentence() -> None:
    says = r"PyTorch cannot export the module with this example input \(.*expected .*\b1 channels.*\); try"
    with pytest.raises(hecc.UnsupportedError, match=says) as refusal:
        hecc.compile(network(), example_input=torch.zeros(1, 2, 8, 8))
    assert "\x1b" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_modules_are_known_from_other_models() -> None:
    assert is_module(network())
    assert not is_module("model.onnx")
