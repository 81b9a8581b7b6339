"""Memory of both parties on a network of nineteen layers: below what is promised, and near what is predicted."""

import os
from pathlib import Path

import numpy as np
import pytest

import hecc
from hecc.compiler.sharing.prediction.plans import plan_use
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.sharing.benchmark import measure_parties

PROMISED = 2 << 30
FACTOR = 2.0
"""Within which memory is predicted, for a session that takes most."""


@pytest.mark.slow
def test_each_party_evaluates_resnet_20_in_less_than_two_gigabytes(tmp_path):
    shared = Path(os.environ.get("HECC_SHARED", "nowhere"))
    model = shared / "models" / "ace_resnet20_cifar10.onnx"
    if not model.exists():
        pytest.skip("the network is not here; set HECC_SHARED to a folder with others' networks")
    rng = np.random.default_rng(0)
    plan = hecc.compile(
        model, calibration=rng.uniform(-2, 2, (8, 3, 32, 32)), input_range=(-3, 3), scheme="sharing", ranges="observed"
    )
    assert isinstance(plan, SharingPlan)
    found, use = measure_parties(plan, tmp_path, runs=1), plan_use(plan)
    assert found.together == use.rows
    for measured, predicted in (
        (found.client_memory, use.client_memory.total),
        (found.server_memory, use.server_memory.total),
    ):
        assert measured < PROMISED
        assert predicted / FACTOR < measured < predicted * FACTOR
