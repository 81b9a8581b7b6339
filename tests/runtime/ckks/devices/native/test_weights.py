"""What a session keeps of weights: factors of Fourier transforms that are alike once."""

from __future__ import annotations

import numpy as np
from tests.runtime.ckks.bootstrapping.small import MESSAGE_SCALE, SLOTS, bootstrap, keys

from hecc.runtime.ckks.circuit.instructions import Circuit, FourierFactor, Input, Output
from hecc.runtime.ckks.devices.native.weights import factor_owners, share_memory
from hecc.runtime.ckks.readings.types import verify_expanded

MUCH = 1 << 40


def expanded(*scales: int) -> tuple[Circuit, list[int]]:
    """Inputs of such scales, a bootstrap for each."""
    names = [f"x{k}" for k in range(len(scales))]
    inputs = [
        Input(name=name, count=1, occupied="all", period=SLOTS, limbs=2, scale=scale * MESSAGE_SCALE)
        for name, scale in zip(names, scales, strict=True)
    ]
    bootstraps = [bootstrap(x=k) for k in range(len(scales))]
    outputs = [Output(x=len(scales) + k, name=f"y{k}", occupied="all") for k in range(len(scales))]
    circuit = Circuit(SLOTS, (*inputs, *bootstraps, *outputs), {"all": np.ones((1, SLOTS), dtype=np.uint8)})
    found, types = verify_expanded(circuit, keys())
    return found, [kind.limbs for kind in types]


def test_bootstraps_of_values_of_one_scale_share_all_factors() -> None:
    one, two = expanded(1), expanded(1, 1)
    owners = factor_owners(*two)
    assert len(owners) == 2 * len(factor_owners(*one)) == 10
    factors = dict(two[0].every(FourierFactor))
    assert len(set(owners.values())) == 5
    for index, owner in owners.items():
        assert (factors[index].first, factors[index].scale) == (factors[owner].first, factors[owner].scale)
    kept = [sum(share.granted for share in share_memory(*each, keys(), MUCH).values()) for each in (one, two)]
    assert kept[0] == kept[1] > 0


def test_of_another_scale_only_the_transform_to_slots_is_alike() -> None:
    """The other one makes up for the scale of what comes in."""
    found = expanded(1, 3)
    owners, factors = factor_owners(*found), dict(found[0].every(FourierFactor))
    alone = [factors[index] for index, owner in owners.items() if list(owners.values()).count(owner) == 1]
    assert len(alone) == 4
    assert not any(factor.inverse for factor in alone)
