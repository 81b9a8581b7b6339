"""`import hecc`: six lines are a session, everything is lazy, and mistakes are sentences."""

import subprocess
import sys

import numpy as np
import onnx
import pytest

import hecc
from hecc.runtime.ckks.ciphertexts import CiphertextFile
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile


def test_six_lines_are_a_session(model, digits, tmp_path):
    images = digits["images"]
    plan = hecc.compile(model, calibration=digits["calibration"])
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    encrypted = client.encrypt(images[:3])
    result = hecc.Server(plan, keys.evaluation).run(encrypted)
    outputs = client.decrypt(result)
    assert outputs["logits"].argmax(axis=1).tolist() == digits["labels"][:3].tolist()
    simulated = hecc.simulate(plan, images[:3], noise=False)
    assert np.abs(outputs["logits"] - simulated["logits"]).max() < 2**-12 * np.abs(simulated["logits"]).max()


def test_client_and_server_meet_in_files_only(plan, digits, tmp_path):
    plan.save(tmp_path / "plan.bin")
    plan.client().save(tmp_path / "plan.client.bin")
    hecc.Client(tmp_path / "plan.client.bin").keygen(tmp_path / "keys", passphrase="of the client")
    client = hecc.Client(tmp_path / "plan.client.bin", tmp_path / "keys", passphrase="of the client")
    client.encrypt({"image": digits["images"][4]}).save(tmp_path / "encrypted.bin")
    with hecc.Server(tmp_path / "plan.bin", tmp_path / "keys" / "evaluation.bin") as server:
        server.run(tmp_path / "encrypted.bin").save(tmp_path / "result.bin")
    assert client.decrypt(tmp_path / "result.bin")["logits"].argmax() == 4
    sender = hecc.Client(plan, tmp_path / "keys", public=True)
    sender.encrypt(digits["images"][5]).save(tmp_path / "public.bin")
    assert CiphertextFile.load(tmp_path / "public.bin").header.key_id == client.key_id
    with pytest.raises(hecc.InputError, match="a public key cannot decrypt"):
        sender.decrypt(tmp_path / "result.bin")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_keys_that_are_being_replaced_stay_when_the_new_ones_do_not_come(plan, digits, tmp_path, error):
    def interrupt(done, total):
        if done == total // 2:
            raise error

    client = hecc.Client(plan)
    client.keygen(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(error):
        client.keygen(tmp_path, force=True, progress=interrupt)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert hecc.Client(plan, tmp_path).key_id == client.key_id


def test_keys_are_for_a_device_that_exists(plan, tmp_path):
    client = hecc.Client(plan)
    with pytest.raises(hecc.InputError, match=r"there is no device 'heal'; choose one of native, seal"):
        client.keygen(tmp_path / "keys", device="heal")
    assert not (tmp_path / "keys").exists()
    for device in ("seal", "native"):
        assert EvaluationKeyFile(client.keygen(tmp_path / device, device=device).evaluation).header.shape == device


def test_importing_hecc_imports_nothing_else():
    heavy = ("numpy", "onnx", "scipy", "sympy", "networkx", "tenseal", "typer", "rich", "msgspec")
    program = f"import sys, hecc; sys.exit(', '.join(name for name in {heavy} if name in sys.modules) or None)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_public_name_is_there_and_documented():
    assert set(hecc.__all__) <= set(dir(hecc))
    for name in hecc.__all__:
        value = getattr(hecc, name)
        assert isinstance(value, str) or value.__doc__
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = hecc.fit


def test_all_errors_are_hecc_errors():
    errors = [getattr(hecc, name) for name in hecc.__all__ if name.endswith("Error")]
    assert len(errors) == 13
    assert all(issubclass(error, hecc.HeccError) for error in errors)


def test_a_model_may_be_a_path_bytes_or_in_memory(model, digits, plan, tmp_path):
    (tmp_path / "model.onnx").write_bytes(model)
    options = {"calibration": {"image": digits["calibration"]}, "input_range": {"image": (0.0, 1.0)}}
    from_path = hecc.compile(tmp_path / "model.onnx", **options)
    from_memory = hecc.compile(onnx.load_model_from_string(model), **options)
    assert from_path.fingerprint == plan.fingerprint
    assert str(from_memory.circuit) == str(plan.circuit)


def test_few_calibration_inputs_are_worth_a_warning(model, digits, caplog):
    hecc.compile(model, calibration=digits["calibration"][:16])
    assert caplog.records == []
    hecc.compile(model, calibration=digits["calibration"][:1])
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["only 1 calibration input"]


def test_the_range_is_that_of_the_calibration_unless_given(model, digits, plan, caplog):
    assert (plan.header.inputs[0].low, plan.header.inputs[0].high) == (0.0, 1.0)
    assert not caplog.records
    wider = hecc.compile(model, calibration=digits["calibration"], input_range=(-2, 2))
    assert (wider.header.inputs[0].low, wider.header.inputs[0].high) == (-2.0, 2.0)
    guessed = hecc.compile(model)
    assert (guessed.header.inputs[0].low, guessed.header.inputs[0].high) == (-1.0, 1.0)
    assert "estimated from made-up inputs from -1 to 1" in caplog.text


def test_progress_names_the_stages(model, digits):
    stages = []
    hecc.compile(model, calibration=digits["calibration"], precision=8, progress=stages.append)
    assert stages[0] == "import the network"
    assert stages[-1] == "check precision"


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"security": 100}, hecc.SecurityError, "a security of 100 bits; hecc knows 128, 192, 256 and nothing below"),
        ({"precision": 0}, hecc.InputError, "a precision of 0 bits"),
        ({"precision": "high"}, hecc.InputError, "precision='high'; give a number"),
        ({"batch": "all"}, hecc.InputError, "batch='all'; give a number"),
        ({"precision": float("nan")}, hecc.InputError, "a precision of nan bits"),
        ({"input_range": (1, 1)}, hecc.InputError, "input 'image': the range 1 to 1 is empty"),
        ({"input_range": {"picture": (0, 1)}}, hecc.InputError, "'picture' was given; the network takes 'image'"),
        (
            {"input_range": {"a": (0, 1), "b": (0, 1)}},
            hecc.InputError,
            "'a', 'b' were given; the network takes 'image'",
        ),
        ({"calibration": {"picture": np.zeros(3)}}, hecc.InputError, "'picture' was given; the network takes 'image'"),
        (
            {"calibration": np.zeros((5, 1, 8, 8))},
            hecc.InputError,
            "input 'image': the calibration inputs are all 0; give the lowest",
        ),
        ({"calibration": np.zeros((5, 8, 8))}, hecc.InputError, "calibration for input 'image': shape (5, 8, 8); give"),
        ({"calibration": np.full((5, 1, 8, 8), "x")}, hecc.InputError, "calibration for input 'image': dtype <U1"),
    ],
)
def test_impossible_options_are_refused(model, options, error, sentence):
    with pytest.raises(error) as refusal:
        hecc.compile(model, **options)
    assert sentence in str(refusal.value)


def test_a_client_without_keys_says_so(plan):
    with pytest.raises(hecc.InputError, match="this client has no keys yet; call keygen"):
        hecc.Client(plan).encrypt(np.zeros((1, 8, 8)))


def test_simulated_noise_is_reproducible_and_within_the_promise(plan, digits):
    clear = hecc.simulate(plan, digits["images"], noise=False)["logits"]
    noisy = [hecc.simulate(plan, digits["images"], seed=seed)["logits"] for seed in (1, 1, 2)]
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])
    assert 0 < np.abs(noisy[0] - clear).max() < 2**-11 * np.abs(clear).max()


def test_simulate_names_the_layer_that_would_overflow(model, digits):
    tame = hecc.compile(model, calibration=digits["calibration"], input_range=(0, 100))
    hecc.simulate(tame, digits["images"])
    with pytest.raises(hecc.OutputError, match=r"(Mul|Gemm|Conv) '.*': a value of .* would wrap around"):
        hecc.simulate(tame, digits["images"] * 100)


def test_a_server_refuses_a_plan_that_does_not_fit_the_memory(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("hecc.measure.machine.available_memory", lambda: 10**6)
    with pytest.raises(hecc.InputError, match=r"needs about [\d.]+ MB of memory, and 1 MB are available"):
        hecc.Server(plan, tmp_path / "evaluation.bin")


def test_an_example_input_is_for_pytorch_modules(model):
    with pytest.raises(hecc.InputError, match="example_input is for PyTorch modules"):
        hecc.compile(model, example_input=np.zeros((1, 1, 8, 8)))
