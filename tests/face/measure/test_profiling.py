"""What is measured of a machine predicts what networks take on it that were not measured."""

import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

import hecc
from hecc.compiler.ckks.prediction.cost import NativeCost
from hecc.compiler.ckks.prediction.machine import MachineProfile
from hecc.measure.layers import plan_layers
from hecc.measure.probes import Probe
from hecc.measure.profiling import measure_rates, profile_of
from hecc.measure.rate_fit import RATES, fit
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile
from hecc.runtime.ckks.plan.rates import Rates
from hecc.runtime.plan.plan import Plan

SHIPPED = NativeCost.RATES


def profile(factor: float, threads: int = 2) -> MachineProfile:
    """A machine that is so many times as slow as the one hecc was developed on, and as fast with all threads."""
    slow = Rates(**{name: factor * value for name, value in msgspec.structs.asdict(SHIPPED).items()})
    return MachineProfile(
        machine="Slow",
        kernels="portable",
        producer="hecc",
        threads=threads,
        one_thread=slow,
        all_threads=SHIPPED,
        error=0,
    )


def test_rates_are_found_from_the_times_that_they_lead_to() -> None:
    generator = np.random.default_rng(0)
    truth = np.array([getattr(SHIPPED, name) for name in RATES])
    circuits = [generator.uniform(0, 1e6, (12, len(RATES))) for _ in range(4)]
    found = fit(circuits, [rows @ truth for rows in circuits])
    np.testing.assert_allclose([getattr(found.rates, name) for name in RATES], truth, rtol=1e-6)
    assert found.error < 1e-9


def test_rates_are_never_negative_and_their_error_is_told() -> None:
    generator = np.random.default_rng(0)
    circuits = [generator.uniform(0, 1e6, (12, len(RATES))) for _ in range(4)]
    found = fit(circuits, [generator.uniform(1e-4, 1e-3, 12) for _ in circuits])
    assert all(getattr(found.rates, name) >= 0 for name in RATES)
    assert found.error > 0.01


def test_circuits_are_measured_with_each_number_of_threads() -> None:
    probes = [Probe(1 << 13, 4, 4, 2), Probe(1 << 13, 3, batch=4)]
    stages: list[str] = []
    fits = measure_rates([1, 2], probes=probes, rounds=1, progress=stages.append)
    assert len(stages) == 3
    assert sorted(fits) == [1, 2]
    for found in fits.values():
        assert len(found.measured) == len(probes)
        assert all(seconds > 0 for seconds in (*found.measured, *found.predicted))
        assert found.rates.butterfly > 0
    made = profile_of(fits)
    assert made.threads == 2
    assert made.one_thread == fits[1].rates
    assert made.machine


def test_a_plan_says_for_which_machine_its_times_are(model, digits, plan, tmp_path: Path) -> None:
    profile(3.0).save(tmp_path / "machine.json")
    slow = hecc.compile(model, calibration=digits["calibration"], machine=tmp_path / "machine.json")
    own, other = plan.header.estimate, slow.header.estimate
    assert own.machine is msgspec.UNSET
    assert other.machine is not msgspec.UNSET
    assert (other.machine.name, other.machine.threads) == ("Slow", 2)
    # All rates three times as large: the same choices.
    assert slow.header.keys == plan.header.keys
    assert other.seconds == pytest.approx(3 * own.seconds)
    assert other.machine.parallel_seconds == pytest.approx(own.seconds)
    assert sum(layer.seconds for layer in plan_layers(slow)) == pytest.approx(other.seconds)
    slow.save(tmp_path / "slow.bin")
    assert Plan.load(tmp_path / "slow.bin").header == slow.header
    again = hecc.compile(model, calibration=digits["calibration"], machine=profile(3.0))
    assert again.fingerprint == slow.fingerprint


def test_a_profile_is_of_the_device_native(model) -> None:
    with pytest.raises(hecc.InputError, match="of the device native; leave it out"):
        hecc.compile(model, device="seal", machine=profile(1.0))


@pytest.mark.slow
def test_times_are_predicted_within_a_quarter_for_networks_that_were_not_measured(plan, tmp_path: Path) -> None:
    machine = profile_of(measure_rates([1]))
    root = Path(__file__).resolve().parents[3] / "examples" / "mnist"
    networks = [hecc.compile(root / f"{name}.onnx", input_range=(0, 1), machine=machine) for name in ("lola", "lenet")]
    for number, compiled in enumerate(networks):
        client = hecc.Client(compiled)
        keys = client.keygen(tmp_path / str(number))
        request = client.encrypt(np.full((1, 1, 28, 28), 0.5))
        circuit, header = compiled.require_circuit(), compiled.header
        source, times = EvaluationKeyFile(keys.evaluation), []
        with NativeEngine(circuit, header.keys, threads=1).session(source) as session:
            for _ in range(12):
                start = time.thread_time()
                session.run({s.name: request.row(s.name, 0) for s in header.inputs})
                times.append(time.thread_time() - start)
        assert 0.75 < header.estimate.seconds / min(times[1:]) < 1.25
