"""Results to be disclosed, from compile to decrypt: noise that is large enough, precision that is kept."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

import hecc
from hecc.runtime.ckks.client.ledger import LEDGER
from hecc.runtime.ckks.disclosure import deviations, flooding_factor, value_deviation
from hecc.runtime.ckks.plan.checks import check_header
from hecc.runtime.ckks.readings.noise_bound import least_error, worst_errors
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.errors import ParameterError
from hecc.runtime.plan.plan import Plan

RESULTS, PRECISION = 300, 10.0


@pytest.fixture(scope="module")
def calibration():
    return np.random.default_rng(7).uniform(-1, 1, (64, 4))


@pytest.fixture(scope="module")
def disclosed(network, calibration) -> Plan:
    model = network((4,), ("gemm", 3), ("square",), ("gemm", 2))
    return hecc.compile(model, calibration=calibration, input_range=(-1, 1), precision=PRECISION, disclose=RESULTS)


@pytest.fixture(scope="module")
def answered(disclosed, calibration, tmp_path_factory):
    """A client, the folder of its keys, an encrypted result of 100 rows, and what it should be."""
    folder = tmp_path_factory.mktemp("disclosed") / "keys"
    client = hecc.Client(disclosed)
    keys = client.keygen(folder)
    rows = np.repeat(calibration[:1], 100, axis=0)
    rows[-1] = [1, -1, 1, -1]
    with hecc.Server(disclosed, keys.evaluation) as server:
        result = server.run(client.encrypt(rows))
    (expected,) = hecc.simulate(disclosed, rows, noise=False).values()
    return client, folder, result, expected


def bounds(plan: Plan) -> dict[str, float]:
    """The largest error of each output for any input in the declared range."""
    circuit, keys = plan.require_circuit(), plan.header.keys
    ranges = {s.name: (s.low, s.high) for s in plan.header.inputs}
    return worst_errors(circuit, verify(circuit, keys), keys, ranges)


def test_the_noise_of_a_plan_hides_the_largest_error(disclosed):
    header, errors = disclosed.header, bounds(disclosed)
    assert header.disclosure.deviations == deviations(RESULTS, header.outputs, list(errors.values()))
    (signature,) = header.outputs
    in_units = header.disclosure.deviations[0] / float(signature.scale)
    assert in_units == pytest.approx(math.sqrt(12 * RESULTS) * 2**32 * errors[signature.name])


@pytest.mark.parametrize("options", [{"precision": 20}, {"precision": 20, "batch": 8}])
def test_linear_layers_are_never_off_by_more_than_the_bound(network, calibration, tmp_path, options):
    plan = hecc.compile(network((4,), ("gemm", 3)), calibration=calibration, input_range=(-1, 1), **options)
    ((name, bound),) = bounds(plan).items()
    rows = np.concatenate([np.sign(calibration[:8]), calibration[:8]])
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        decrypted = client.decrypt(server.run(client.encrypt(rows)))[name]
    observed = np.abs(decrypted - hecc.simulate(plan, rows, noise=False)[name]).max()
    assert observed < bound < 2**28 * observed


def test_what_is_released_has_that_noise_and_the_precision_that_was_promised(disclosed, answered, calibration):
    client, _, result, expected = answered
    before = client.disclosures_left
    (exact,) = client.decrypt(result).values()
    (released,) = client.decrypt(result, disclose=True).values()
    predicted = value_deviation(disclosed.header.outputs[0], disclosed.header.disclosure.deviations[0])
    # The promise is of the flooded values, and the error without flooding is far smaller.
    assert np.abs(exact - expected).max() < predicted / 10
    (clear,) = hecc.simulate(disclosed, calibration, noise=False).values()
    assert np.abs(released - expected).max() < 2.0**-PRECISION * np.abs(clear).max()
    assert disclosed.header.estimate.precision_bits >= PRECISION
    noise = (released - exact) / predicted
    assert noise.std() == pytest.approx(1, abs=0.25)
    assert abs(noise.mean()) < 0.4
    # Drawn for each row anew.
    assert len(np.unique(released[:99, 0])) > 5
    digit = 10.0 ** math.floor(math.log10(predicted))
    np.testing.assert_allclose(released / digit, np.round(released / digit), atol=1e-6)
    assert client.disclosures_left == before - 100


def test_no_more_than_the_plan_allows_is_released(answered):
    client, folder, result, _ = answered
    while client.disclosures_left >= 100:
        client.decrypt(result, disclose=True)
    before = (folder / LEDGER).read_bytes()
    with pytest.raises(hecc.DisclosureError, match=r"100 results to be disclosed, and \d+ are left of the 300"):
        client.decrypt(result, disclose=True)
    assert (folder / LEDGER).read_bytes() == before
    client.decrypt(result)
    # Neither by a client that was there before, nor when the list is gone.
    (folder / LEDGER).unlink()
    with pytest.raises(hecc.DisclosureError, match="restore it, or make new keys"):
        client.decrypt(result, disclose=True)
    # New keys in the same place begin at nothing, and the client of the old ones does not count in their list.
    again = hecc.Client(client.plan)
    again.keygen(folder, force=True)
    assert again.disclosures_left == RESULTS
    with pytest.raises(hecc.FileFormatError, match="belongs to other keys"):
        client.decrypt(result, disclose=True)
    assert again.disclosures_left == RESULTS


def test_keys_that_were_made_without_disclosure_cannot_begin_to_disclose(disclosed, network, calibration, tmp_path):
    """Nothing would tell a list that was never begun from one that is lost; keys for both plans have one."""
    model = network((4,), ("gemm", 3), ("square",), ("gemm", 2))
    silent = hecc.compile(model, calibration=calibration, input_range=(-1, 1), precision=8, chain_of=disclosed)
    hecc.Client(silent).keygen(tmp_path / "both", others=[disclosed])
    assert hecc.Client(disclosed, tmp_path / "both").disclosures_left == RESULTS
    hecc.Client(disclosed).keygen(tmp_path / "silent")
    (tmp_path / "silent" / LEDGER).unlink()
    with pytest.raises(hecc.DisclosureError, match="make new keys for this plan"):
        _ = hecc.Client(disclosed, tmp_path / "silent").disclosures_left


def test_a_plan_without_room_for_noise_discloses_nothing(plan, digits, tmp_path):
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        result = server.run(client.encrypt(digits["images"][:1]))
    with pytest.raises(hecc.DisclosureError, match=r"no room for the noise .* compile it with --disclose RESULTS"):
        client.decrypt(result, disclose=True)
    assert not (tmp_path / "keys" / LEDGER).exists()


@pytest.mark.parametrize("options", [{"batch": 8}, {"device": "seal"}])
def test_batches_and_seals_evaluator_disclose_too(network, calibration, tmp_path, options):
    model = network((4,), ("gemm", 3), ("square",))
    plan = hecc.compile(model, calibration=calibration, input_range=(-1, 1), precision=8, disclose=4, **options)
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        result = server.run(client.encrypt(calibration[:3]))
    (released,) = client.decrypt(result, disclose=True).values()
    (expected,) = hecc.simulate(plan, calibration[:3], noise=False).values()
    assert np.abs(released - expected).max() < 2.0**-8 * np.abs(expected).max() * 2
    # A batch counts once.
    assert client.disclosures_left == (3 if "batch" in options else 1)


def test_what_does_not_fit_is_refused_with_a_way_out(network, calibration):
    model = network((4,), ("gemm", 3), ("square",), ("gemm", 2))
    with pytest.raises(hecc.CompileError, match=r"; disclose fewer results, use fewer layers"):
        hecc.compile(model, calibration=calibration, precision=45, disclose=1 << 40)
    for number in (0, -1, (1 << 40) + 1):
        with pytest.raises(hecc.InputError, match=r"give how many of one key, from 1 to 1099511627776"):
            hecc.compile(model, calibration=calibration, disclose=number)


def test_a_plan_with_too_little_noise_is_refused(disclosed):
    least = flooding_factor(RESULTS, 1) * least_error(disclosed.header.keys.ring_degree)
    (honest,) = disclosed.header.disclosure.deviations
    assert least <= honest
    for values in ((least * 0.999,), (least / 2**25,), (), (math.inf,), (math.nan,), (2.0**200,), (honest, honest)):
        with pytest.raises(ParameterError, match="the noise for 300 results"):
            check_header(with_noise(disclosed.header, values))
    for values in ((honest,), (least,)):
        check_header(with_noise(disclosed.header, values))


def test_the_circuit_tells_what_noise_is_needed(disclosed, tmp_path):
    """Whoever has the server's plan need not take its word for it."""
    (honest,) = disclosed.header.disclosure.deviations
    disclosed.save(tmp_path / "plan.bin")
    assert Plan.load(tmp_path / "plan.bin").header == disclosed.header
    forged = replace(disclosed, header=with_noise(disclosed.header, (honest * 0.99,)))
    forged.save(tmp_path / "plan.bin")
    with pytest.raises(hecc.FileFormatError, match=r"noise of deviation .* for 300 results .*, and its errors need"):
        Plan.load(tmp_path / "plan.bin")
    assert not hecc.verify(tmp_path / "plan.bin").ok


def with_noise(header, values):
    return msgspec.structs.replace(header, disclosure=msgspec.structs.replace(header.disclosure, deviations=values))


def test_the_header_survives_a_file_and_others_do_not_mention_it(disclosed, plan, tmp_path):
    disclosed.save(tmp_path / "disclosed.bin")
    assert Plan.load(tmp_path / "disclosed.bin").header == disclosed.header
    plan.client().save(tmp_path / "plan.bin")
    assert b"share" not in (tmp_path / "plan.bin").read_bytes()
    assert b'"share":{"results":' in (tmp_path / "disclosed.bin").read_bytes()


def test_networks_with_functions_keep_their_promise_under_the_noise(network):
    """What polynomials and flooding take together is what was allowed."""
    rows = np.random.default_rng(7).uniform(-1, 1, (64, 4))
    model = network((4,), ("gemm", 6), ("Sigmoid",), ("gemm", 5), ("Sigmoid",), ("gemm", 2))
    plan = hecc.compile(model, calibration=rows, precision=9, disclose=50)
    signature = plan.header.outputs[0]
    noise = 4.5 * value_deviation(signature, plan.header.disclosure.deviations[0])
    precise = hecc.compile(model, calibration=rows, precision=20)
    (polynomial,) = hecc.simulate(plan, rows, noise=False).values()
    (true,) = hecc.simulate(precise, rows, noise=False).values()
    assert np.abs(polynomial - true).max() + noise < 2.0**-9 * np.abs(true).max() * 1.001
    assert plan.header.estimate.precision_bits >= 9


def test_an_interval_that_is_too_wide_is_refused_with_what_is_proved_and_seen(network):
    model = network((4,), ("gemm", 3), ("Tanh",), ("gemm", 2))
    rows = np.random.default_rng(7).uniform(-1, 1, (64, 4))
    with pytest.raises(hecc.CompileError) as refusal:
        hecc.compile(model, calibration=rows, input_range=(-5e4, 5e4), precision=8, disclose=10)
    sentence = str(refusal.value)
    assert "Tanh 'Tanh1'" in sentence
    assert "for inputs in the declared range its argument may be anything from -" in sentence
    assert "the calibration inputs take it from -" in sentence
    assert "declare a narrower input range (that of 'x' is -50000 to 50000, and its calibration inputs lie" in sentence
    assert sentence.endswith("or compile without --disclose")
    # Calibration inputs that fill the range cannot be declared away.
    with pytest.raises(hecc.CompileError) as refusal:
        hecc.compile(model, calibration=rows * 5e4, input_range=(-5e4, 5e4), precision=8, disclose=10)
    assert "narrower input range" not in str(refusal.value)
    assert "weight decay or a BatchNormalization" in str(refusal.value)


def test_too_deep_a_network_is_refused_with_the_deepest_polynomial(network, calibration):
    layers = [layer for _ in range(4) for layer in (("gemm", 8), ("Tanh",))]
    with pytest.raises(hecc.CompileError) as refusal:
        hecc.compile(network((4,), *layers, ("gemm", 2)), calibration=calibration, precision=16, disclose=1000)
    sentence = str(refusal.value)
    assert sentence.startswith("no parameters leave 16 bits of precision under the noise that 1000 results")
    assert "the polynomial for Tanh 'Tanh" in sentence
    assert sentence.endswith("or compile without --disclose")
