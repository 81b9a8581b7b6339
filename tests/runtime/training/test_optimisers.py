"""Optimisers and schedules go step by step as PyTorch's."""

import numpy as np
import pytest

from hecc.runtime.network.evaluation import PlainArithmetic
from hecc.runtime.training.optimisers import OPTIMISERS, Update
from hecc.runtime.training.schedules import SCHEDULES

RNG = np.random.default_rng(4)
GRADIENTS = RNG.normal(size=(30, 5)) * np.array([1, 1e-3, 0, 10, 1e-9])


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_steps_as_pytorch(name):
    torch = pytest.importorskip("torch")
    weights = torch.nn.Parameter(torch.arange(5, dtype=torch.float64))
    theirs = {
        "sgd": lambda: torch.optim.SGD([weights], lr=0.05),
        "momentum": lambda: torch.optim.SGD([weights], lr=0.05, momentum=0.9),
        "adam": lambda: torch.optim.Adam([weights], lr=0.05),
    }[name]()
    ours, state = np.arange(5.0), {}
    for number, gradient in enumerate(GRADIENTS, 1):
        weights.grad = torch.tensor(gradient)
        theirs.step()
        ours, state = OPTIMISERS[name].step(Update(PlainArithmetic(), 0.05, number), ours, gradient, state)
        np.testing.assert_allclose(ours, weights.detach().numpy(), rtol=1e-13, atol=1e-14)
    assert set(state) == set(OPTIMISERS[name].memories)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_as_pytorchs(name):
    torch = pytest.importorskip("torch")
    schedulers = torch.optim.lr_scheduler
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = {
        "constant": lambda: schedulers.ConstantLR(optimiser, factor=1.0),
        "cosine": lambda: schedulers.CosineAnnealingLR(optimiser, T_max=20),
        "linear": lambda: schedulers.LinearLR(optimiser, start_factor=1.0, end_factor=1e-12, total_iters=20),
    }[name]()
    for step in range(20):
        assert SCHEDULES[name](step, 20) == pytest.approx(theirs.get_last_lr()[0], abs=1e-11)
        optimiser.step()
        theirs.step()
