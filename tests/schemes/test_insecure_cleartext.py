"""A second scheme through the same common code: nothing there knows CKKS."""

import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import hecc
from hecc.cli.commands import app
from hecc.passes.schemes import COMPILERS
from hecc.runtime.errors import FileFormatError, HeccError, InputError, SecurityError
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.plan.scheme import SCHEMES, load_scheme, scheme_of

NAME = "insecure-cleartext"
GOLDEN = Path(__file__).parent.parent / "data" / "golden" / "native"
RNG = np.random.default_rng(5)
WEIGHTS, BIAS = RNG.normal(size=(4, 3)), RNG.normal(size=3)
ROWS = RNG.uniform(-1, 1, (5, 4))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The scheme is known, to the runtime and to the compiler."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr("hecc.runtime.plan.scheme.SCHEMES", {**SCHEMES, NAME: "insecure_cleartext:CLEARTEXT"})
    monkeypatch.setattr("hecc.passes.schemes.COMPILERS", {**COMPILERS, NAME: "insecure_cleartext:build_plan"})


def network(*extra):
    """A layer of weights, then what is asked for."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["a"], "layer")]
    nodes += [helper.make_node(kind, [nodes[-1].output[0]], [f"a{n}"], f"extra{n}") for n, kind in enumerate(extra)]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in (("w", WEIGHTS), ("b", BIAS))],
    )
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


def compiled(*extra, **options):
    """The network's plan."""
    rows = np.tile(ROWS, (4, 1))
    return hecc.compile(network(*extra), scheme=NAME, calibration=rows, input_range=(-1.0, 1.0), **options)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Both plans and some rows, in the current folder."""
    monkeypatch.chdir(tmp_path)
    plan = compiled("Softmax", class_names=["a", "b", "c"])
    plan.save("plan.bin")
    plan.client().save("plan.client.bin")
    np.save("rows.npy", ROWS)
    return tmp_path


def softmax(values):
    exponentials = np.exp(values)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def run(*arguments, code=0):
    """A command, and what it prints."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def answer(*arguments):
    return json.loads(run(*arguments, "--json"))


def test_the_command_line_chooses_a_scheme(files):
    Path("network.onnx").write_bytes(network())
    arguments = ("compile", "network.onnx", "--scheme", NAME, "--calibration", "rows.npy", "--input-range", -2, 2)
    assert "none at all" in run(*arguments, "--output", "named.bin")
    assert hecc.Plan.load("named.bin").header.scheme == NAME
    assert hecc.compile(network(), calibration=ROWS, input_range=(-2.0, 2.0)).header.scheme == "ckks"


@pytest.mark.parametrize(
    ("flag", "option", "schemes"),
    [("--security", "security", "ckks"), ("--precision", "precision", "ckks or sharing")],
)
def test_an_option_of_another_scheme_is_refused_whatever_it_says(files, flag, option, schemes):
    Path("network.onnx").write_bytes(network())
    sentence = f"{option}: this option is for the scheme {schemes}, and does nothing for {NAME}; leave it out"
    assert sentence in run("compile", "network.onnx", "--scheme", NAME, flag, 128, code=1)
    with pytest.raises(InputError, match=sentence):
        compiled(**{option: 128})


def test_a_scheme_that_nobody_knows_is_a_sentence(files):
    with pytest.raises(InputError, match="there is no scheme 'rot13'; choose one of ckks"):
        hecc.compile(network(), scheme="rot13")


def test_an_estimate_is_of_ckks(files):
    with pytest.raises(
        InputError, match=f"estimate knows the schemes ckks, more and sharing only; what a plan of the scheme {NAME}"
    ):
        hecc.estimate(network(), scheme=NAME)


def test_python_goes_from_a_network_to_decrypted_rows(files):
    plan = hecc.Plan.load("plan.bin")
    assert plan.header.scheme == plan.scheme.name == NAME
    client = hecc.Client("plan.client.bin", min_security="none")
    keys = client.keygen("keys")
    encrypted = client.encrypt(ROWS)
    with hecc.Server(plan, keys.evaluation) as server:
        result = server.run(encrypted)
    with hecc.Engine(plan) as engine, hecc.Server(engine, "keys") as server:
        assert server.run(encrypted).fingerprint == result.fingerprint
    outputs = client.decrypt(result, request=encrypted)
    expected = softmax(ROWS @ WEIGHTS + BIAS)
    np.testing.assert_allclose(outputs["a0"], expected, rtol=1e-6)
    np.testing.assert_allclose(hecc.simulate(plan, ROWS)["a0"], expected, rtol=1e-6)
    assert client.classify(outputs)["a0"][0][0].label == "abc"[expected[0].argmax()]
    assert client.disclosures_left == 0


def test_bytes_go_wherever_files_go(files):
    plan = hecc.Plan.loads(Path("plan.bin").read_bytes())
    assert plan.dumps() == Path("plan.bin").read_bytes()
    client = hecc.Client("plan.client.bin", min_security="none")
    keys = client.keygen("keys")
    request = client.encrypt(ROWS).dumps()
    with hecc.Server(plan, keys.evaluation.read_bytes()) as server:
        answer = server.run(request)
    elsewhere = hecc.Client(plan, keys.secret.read_bytes(), min_security="none")
    np.testing.assert_allclose(elsewhere.decrypt(answer)["a0"], softmax(ROWS @ WEIGHTS + BIAS), rtol=1e-6)


def test_the_command_line_does_the_same(files):
    assert answer("keygen", "plan.client.bin", "--min-security", "none")["key_id"]
    run("encrypt", "plan.client.bin", "rows.npy", "--min-security", "none")
    run("run", "plan.bin", "encrypted.bin")
    run("decrypt", "plan.client.bin", "result.bin", "--min-security", "none")
    np.testing.assert_allclose(np.load("output.npy"), softmax(ROWS @ WEIGHTS + BIAS), rtol=1e-6)
    assert answer("simulate", "plan.bin", "rows.npy")["rows"] == 5
    assert answer("evaluate", "plan.bin", "--inputs", "rows.npy")
    everything = ["plan.bin", "plan.client.bin", "encrypted.bin", "result.bin", *Path("keys").glob("*.bin")]
    assert answer("verify", *everything)["ok"]


def test_a_plan_says_what_keeps_its_inputs_secret(files):
    text = run("inspect", "plan.bin", "--circuit")
    assert "none at all: whoever sees a file reads what is in it" in text
    assert "one affine map of 12 weights" in text
    assert "return weights @ x + bias" in text
    shown = answer("inspect", "plan.client.bin")
    assert shown["scheme"] == NAME
    assert "ring" not in shown


def test_keys_and_rows_are_described_by_their_scheme(files):
    client = hecc.Client("plan.client.bin", min_security="none")
    keys = client.keygen("keys")
    client.encrypt_to("encrypted.bin", ROWS)
    assert answer("inspect", keys.secret)["key_id"] == keys.key_id
    assert answer("inspect", "encrypted.bin")["rows"] == 5


def test_security_that_is_asked_for_is_insisted_on(files):
    with pytest.raises(SecurityError, match="this scheme has none at all"):
        hecc.Client("plan.client.bin").keygen("keys")
    assert "none at all" in run("keygen", "plan.client.bin", code=1)
    found = hecc.verify("plan.bin", min_security=128)
    assert not found.ok


def test_files_of_two_schemes_do_not_belong_together(files):
    golden = GOLDEN / "plan.client.bin"
    (conflict,) = hecc.verify(["plan.bin", golden]).conflicts
    assert conflict.reason == f"one is of the scheme {NAME}, the other of ckks"
    with pytest.raises(HeccError, match=f"no keys serve plans of the schemes {NAME} and ckks"):
        hecc.Client("plan.client.bin", min_security="none").keygen("keys", others=[golden])


def test_what_is_for_ckks_only_says_so(files):
    with pytest.raises(InputError, match=r"plan.bin: this does nothing for plans of the scheme insecure-cleartext"):
        hecc.report("plan.bin")


def test_an_operator_that_the_scheme_cannot_evaluate_is_its_own_refusal():
    with pytest.raises(HeccError, match="cleartext multiplies affine maps only"):
        compiled("Tanh")


def test_an_impossible_plan_is_refused_by_its_scheme(files, tmp_path):
    plan = hecc.Plan.load("plan.bin")
    twice = msgspec.structs.replace(plan.header, outputs=(*plan.header.outputs, replaced(plan.header.outputs[0])))
    with ContainerWriter(tmp_path / "forged.bin", Kind.CLIENT_PLAN, twice):
        pass
    with pytest.raises(FileFormatError, match=r"an impossible plan .a plan of cleartext has one input and one output"):
        hecc.Plan.load(tmp_path / "forged.bin")


def replaced(output):
    return msgspec.structs.replace(output, name="other")


def test_a_scheme_that_is_not_known_is_a_sentence(files, monkeypatch):
    monkeypatch.setattr("hecc.runtime.plan.scheme.SCHEMES", SCHEMES)
    with pytest.raises(FileFormatError) as refusal:
        hecc.Plan.load("plan.bin")
    assert str(refusal.value) == (
        f"plan.bin: this file is of the scheme '{NAME}', and this hecc knows ckks, more, sharing only; use a hecc that "
        "knows it"
    )
    assert not hecc.verify("plan.bin").ok


def test_a_file_that_names_no_scheme_is_of_ckks():
    found = {file.name: scheme_of(Container(file, *Kind)).name for file in GOLDEN.glob("*.bin")}
    assert len(found) == len(Kind)
    assert set(found.values()) == {"ckks"}


def test_a_scheme_is_loaded_when_it_is_asked_for():
    sys.modules.pop("insecure_cleartext", None)
    assert "insecure_cleartext" not in sys.modules
    assert load_scheme(NAME).roles == ("client", "server")
