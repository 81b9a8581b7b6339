"""One row too far out: it is named and counted, the others are right, and simulation says what encryption does."""

import json
import logging

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

import hecc
from hecc.cli.commands import app
from hecc.runtime.ckks.alarms import IMAGINARY
from hecc.runtime.ckks.simulation import simulate_rows

CALIBRATION = np.random.default_rng(1).uniform(-1, 1, (200, 3)).astype(np.float32)
BAD = 2


def driven(factor, rows=10):
    """Rows like the calibration's, of which one is larger by a factor."""
    given = CALIBRATION[:rows].copy()
    given[BAD] *= factor
    return given


def with_argmax(model):
    """A network that ends in the choice of a class."""
    loaded = onnx.load_from_string(model)
    scores = loaded.graph.output[0].name
    loaded.graph.node.append(helper.make_node("ArgMax", [scores], ["class"], "choice", axis=1, keepdims=0))
    loaded.graph.output.pop()
    loaded.graph.output.append(helper.make_tensor_value_info("class", TensorProto.INT64, ["batch"]))
    return loaded.SerializeToString()


@pytest.fixture(scope="module")
def models(network):
    """Networks whose values explode in other ways: by squares, and by a polynomial of a high degree."""
    return {
        "square": network((3,), ("gemm", 4), ("square",), ("gemm", 4), ("square",), ("gemm", 4)),
        "tanh": network((3,), ("gemm", 4), ("Tanh",), ("gemm", 4)),
    }


@pytest.fixture(scope="module")
def worlds(models, tmp_path_factory):
    """Of each plan a client and a server, made when they are first asked for."""
    made = {}

    def make(name, choice=False, **options):
        key = name, choice, *options.items()
        if key not in made:
            model = with_argmax(models[name]) if choice else models[name]
            plan = hecc.compile(model, calibration=CALIBRATION, input_range=(-1e6, 1e6), precision=9, **options)
            client = hecc.Client(plan)
            keys = client.keygen(tmp_path_factory.mktemp("keys") / "keys")
            made[key] = plan, client, hecc.Server(plan, keys.evaluation), keys
        return made[key]

    yield make
    for _, _, server, _ in made.values():
        server.close()


@pytest.mark.parametrize("name", ["square", "tanh"])
@pytest.mark.parametrize("factor", [1.0, 20.0, 1e5])
def test_a_row_takes_no_other_with_it(worlds, name, factor):
    plan, client, server, _ = worlds(name)
    rows = driven(factor)
    expected = hecc.simulate(plan, driven(1.0), noise=False)
    simulated, decrypted = simulate_rows(plan, {"x": rows}), client.decrypt_rows(server.run(client.encrypt(rows)))
    lost = [] if factor == 1 else [BAD]
    assert list(simulated.lost) == list(decrypted.lost) == lost
    for output, values in expected.items():
        others = np.delete(np.arange(len(rows)), lost)
        for found in (simulated, decrypted):
            np.testing.assert_allclose(found[output][others], values[others], atol=2**-8 * np.abs(values).max())
            assert np.isnan(found[output][lost]).all()
    assert list(simulated.outside) == (lost if name == "tanh" else [])


@pytest.mark.parametrize("outputs", [1, 2])
def test_no_value_that_wraps_around_in_the_last_step_passes_for_a_result(network, tmp_path, outputs):
    # Without activations nothing else is out of the ordinary, and such a value may be anything within the bound.
    plan = hecc.compile(network((3,), ("gemm", outputs)), calibration=CALIBRATION, input_range=(-1e6, 1e6), precision=8)
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    rows = CALIBRATION[:1] * np.random.default_rng(3).uniform(100, 1e4, (60, 1)).astype(np.float32)
    rows = np.concatenate([rows, CALIBRATION[:1]])
    with hecc.Server(plan, keys.evaluation) as server:
        found = client.decrypt_rows(server.run(client.encrypt(rows)))
    assert list(found.lost) == list(simulate_rows(plan, {"x": rows}).lost) == list(range(60))


@pytest.mark.parametrize(
    "options", [{"batch": 4, "optimize": "throughput"}, {"batch": 8}, {"batch": 40, "optimize": "throughput"}]
)
def test_in_batches_no_row_is_wrong_without_a_word(worlds, options):
    # Between what stays in a row's slots and what wraps around: of a ciphertext that wrapped a few slots look right.
    plan, client, server, _ = worlds("square", **options)
    count = 2 * options["batch"]
    (values,) = hecc.simulate(plan, driven(1.0, count), noise=False).values()
    kept = False
    # Between 7 and 11.5, where values pass the bound, noise decides whether its growth is an alarm.
    for factor in (1, 4, 5, 12, 17, 18, 24, 24.5, 1000):
        rows = driven(factor, count)
        simulated, decrypted = simulate_rows(plan, {"x": rows}), client.decrypt_rows(server.run(client.encrypt(rows)))
        assert list(simulated.lost) == list(decrypted.lost)
        assert set(decrypted.lost) <= set(range(options["batch"]))
        (found,) = decrypted.values()
        good = [row for row in range(count) if row not in decrypted.lost and (row != BAD or factor == 1)]
        np.testing.assert_allclose(found[good], values[good], atol=2**-8 * np.abs(values).max())
        kept |= list(decrypted.lost) == [BAD]
    assert len(decrypted.lost) == options["batch"]
    assert kept == (options["batch"] > 4)
    assert f"in row {BAD}" in simulated.lost[0]


def test_simulated_noise_grows_with_the_values_of_a_row(worlds):
    # Squares have no interval that a value could leave, and decryption sees the growth by the imaginary parts.
    plan, _, _, _ = worlds("square", batch=8)
    found = [simulate_rows(plan, {"x": driven(9.5)}, seed=seed).lost for seed in range(24)]
    assert {why for lost in found for why in lost.values()} == {"output 'gemm4': " + IMAGINARY}
    assert {row for lost in found for row in lost} == {BAD}
    assert not any(simulate_rows(plan, {"x": driven(4)}, seed=seed).lost for seed in range(12))


def test_a_warning_names_the_lost_row_and_all_lost_rows_are_an_error(worlds, caplog):
    caplog.set_level(logging.WARNING)
    plan, client, server, _ = worlds("tanh")
    outputs = client.decrypt(server.run(client.encrypt(driven(1e5))))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"row {BAD} of 10 lost: output 'gemm2': ")
    assert "do not send the decrypted values or this message" in record.getMessage()
    assert outputs.lost.keys() == {BAD}
    with pytest.raises(hecc.OutputError, match=r"output 'gemm2': .*; the evaluation overflowed"):
        client.decrypt(server.run(client.encrypt(driven(1e5)[BAD])))
    caplog.clear()
    hecc.simulate(plan, driven(1e5))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [f"row {BAD} of 10 lost"]
    with pytest.raises(
        hecc.OutputError, match=r"a value of more than .* would wrap around under encryption, in all of"
    ):
        hecc.simulate(plan, driven(1e5)[[BAD, BAD]])
    caplog.clear()
    # Somewhat outside: there are results, but not those of the network.
    factor = next(f for f in np.arange(2.0, 20.0, 0.25) if simulate_rows(plan, {"x": driven(f)}).outside)
    found = hecc.simulate(plan, driven(factor))
    assert not found.lost
    assert found.outside.keys() == {BAD}
    (record,) = caplog.records
    assert f"row {BAD} of 10 outside: Tanh 'Tanh1': a value is not within -" in record.getMessage()


def test_a_lost_row_has_no_class(worlds):
    _, client, server, _ = worlds("tanh", choice=True)
    found = client.decrypt_rows(server.run(client.encrypt(driven(1e5))))
    assert np.isnan(found["class"][BAD])
    assert client.classify(found)["class"][BAD] == []
    assert client.classify(found)["class"][0][0].number == found["class"][0]


def test_evaluate_counts_lost_rows_as_wrong_and_goes_on(worlds):
    plan, _, _, keys = worlds("tanh")
    (scores,) = hecc.simulate(plan, driven(1.0), noise=False).values()
    labels = scores.argmax(axis=1)
    found = hecc.evaluate(plan, driven(1e5), labels, keys=keys.evaluation.parent, rows=6)
    clear, simulated, encrypted = found.outcomes
    for outcome, rows in ((clear, 10), (simulated, 10), (encrypted, 6)):
        assert list(outcome.lost) == [BAD]
        assert outcome.predictions[BAD] == -1
        assert outcome.score == pytest.approx((rows - 1) / rows)
        assert outcome.agreement == pytest.approx((rows - 1) / rows)
        assert np.isfinite(outcome.largest_error)
    assert list(clear.outside) == [BAD]
    assert found.confusion.sum() == 9
    assert found.unanswered.sum() == found.unanswered[labels[BAD]] == 1
    assert found.recall[labels[BAD]] < 1
    regression = hecc.evaluate(plan, driven(1e5), scores)
    assert regression.outcomes[1].score < 0.1
    lost = hecc.evaluate(plan, np.tile(driven(1e5)[BAD], (3, 1)), labels[:3])
    assert [outcome.score for outcome in lost.outcomes] == [0.0, 0.0]
    assert np.isnan(hecc.evaluate(plan, np.tile(driven(1e5)[BAD], (3, 1)), scores[:3]).outcomes[0].score)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 1e308])
def test_no_number_is_too_large_for_a_sentence(worlds, monkeypatch, value):
    # What the client refuses to encrypt may be in the simulator all the same: an overflow on the way, say.
    plan, _, _, _ = worlds("tanh")
    rows = driven(1.0).astype(np.float64)
    rows[BAD] = value
    found = simulate_rows(plan, {"x": rows})
    assert list(found.lost) == [BAD]
    assert "would wrap around under encryption" in found.lost[BAD]


def test_results_to_be_shown_are_refused_with_one_lost_row(models, tmp_path, monkeypatch):
    # Which row is lost tells of the key, if the server can make it lost.
    plan = hecc.compile(models["square"], calibration=CALIBRATION, input_range=(-1, 1), precision=6, disclose=50)
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        result = server.run(client.encrypt(driven(1.0, 3)))
    left = client.disclosures_left
    monkeypatch.setattr("hecc.runtime.ckks.client.client.faults", lambda *_: ["a fault"])
    with pytest.raises(hecc.OutputError, match=r"a fault; the evaluation overflowed"):
        client.decrypt(result, disclose=True)
    assert client.disclosures_left == left


def test_the_command_line_writes_the_good_rows_and_says_so(worlds, tmp_path):
    plan, client, server, keys = worlds("tanh")
    folder = keys.evaluation.parent
    plan.save(tmp_path / "plan.bin")
    server.run(client.encrypt(driven(1e5))).save(tmp_path / "result.bin")
    np.save(tmp_path / "rows.npy", driven(1e5))
    np.save(tmp_path / "labels.npy", np.zeros(10, dtype=int))

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    for ending in ("npy", "csv", "npz"):
        output = tmp_path / f"output.{ending}"
        given = ("decrypt", tmp_path / "plan.bin", tmp_path / "result.bin", "--keys", folder, "--output", output)
        shown = run(*given)
        assert shown.exit_code == 3
        assert f"warning: row {BAD} of 10 lost" in shown.stderr
        assert f"  {BAD}    none" in shown.stdout
        assert output.exists()
        answer = json.loads(run(*given, "--json").stdout)
        assert answer["lost_rows"] == [BAD]
        assert answer["values"]["gemm2"][BAD] == [None] * 4
        assert answer["predictions"]["gemm2"][BAD] is None
    assert np.isnan(np.load(tmp_path / "output.npy")).any(axis=1).tolist() == [row == BAD for row in range(10)]
    simulated = run("simulate", tmp_path / "plan.bin", tmp_path / "rows.npy", "--json")
    assert simulated.exit_code == 3
    assert json.loads(simulated.stdout)["lost_rows"] == json.loads(simulated.stdout)["outside_rows"] == [BAD]
    given = ("evaluate", tmp_path / "plan.bin", "--inputs", tmp_path / "rows.npy", "--labels", tmp_path / "labels.npy")
    evaluated = run(*given)
    assert evaluated.exit_code == 0, evaluated.output
    assert f"plan without noise: 1 of 10 rows lost: row {BAD} (" in evaluated.stdout
    assert f"plan without noise: 1 of 10 rows outside: row {BAD} (Tanh 'Tanh1'" in evaluated.stdout
    answer = json.loads(run(*given, "--json").stdout)
    assert answer["simulated"]["lost_rows"] == [BAD]
    assert sum(answer["unanswered"]) == 1
    described = run("inspect", tmp_path / "plan.bin").stdout
    assert "rows outside" in described
    assert " of 1,000 expected" in described
