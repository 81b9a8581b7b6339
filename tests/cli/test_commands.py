"""What each command does when all is well."""

import inspect
import json
import os
import re
import stat
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.main import get_command

import hecc
from hecc.cli.commands import app
from hecc.compiler.options import options_of
from hecc.inputs.tables import load_table
from hecc.options.table import CompileOptions
from hecc.runtime.plan.plan import Plan
from hecc.words.report.page import GENERATOR

COMMANDS = (
    "compile",
    "estimate",
    "keygen",
    "encrypt",
    "run",
    "train",
    "attack",
    "decrypt",
    "inspect",
    "report",
    "verify",
    "simulate",
    "evaluate",
    "bench",
    "demo",
    "authority",
    "deal",
    "prepare",
    "serve",
    "query",
)


def make_model(width: int, outputs: str) -> bytes:
    """Of y = x^2 and z = 2x those that are named."""
    nodes = [helper.make_node("Mul", ["x", "x" if name == "y" else "two"], [name]) for name in outputs]
    x, *returned = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name in "x" + outputs)
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    graph = helper.make_graph(nodes, "network", [x], returned, [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_the_version_is_that_of_the_package(cli):
    assert cli.succeed("--version").stdout == f"hecc {hecc.__version__}\n"


def test_these_are_all_the_commands():
    # Or a new command would be in none of the tests of every command.
    assert set(get_command(app).commands) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example_of_it(cli, command):
    assert f"Example: hecc {command}" in cli.succeed(command, "--help").stdout


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("compile", ["nowhere.onnx"]),
        ("estimate", ["nowhere.onnx"]),
        ("keygen", ["nowhere.bin"]),
        ("encrypt", ["nowhere.bin", "three.npy"]),
        ("run", ["nowhere.bin", "encrypted.bin"]),
        ("run", ["plan.bin", "nowhere.bin"]),
        ("train", ["nowhere.bin", "encrypted.bin"]),
        ("attack", ["nowhere.bin"]),
        ("decrypt", ["nowhere.bin", "result.bin"]),
        ("decrypt", ["plan.client.bin", "nowhere.bin"]),
        ("inspect", ["nowhere.bin"]),
        ("verify", ["nowhere.bin"]),
        ("evaluate", ["nowhere.bin", "--inputs", "three.npy"]),
        ("evaluate", ["plan.bin", "--inputs", "nowhere.npy"]),
        ("evaluate", ["plan.bin", "--inputs", "three.npy", "--labels", "nowhere.txt"]),
        ("encrypt", ["plan.client.bin", "nowhere.npy"]),
        ("compile", ["model.onnx", "--calibration", "nowhere.npy"]),
        ("compile", ["model.onnx", "--class-names", "nowhere.txt"]),
        ("report", ["nowhere.bin"]),
        ("report", ["plan.bin", "--inputs", "nowhere.npy"]),
        ("simulate", ["nowhere.bin", "three.npy"]),
        ("bench", ["nowhere.bin"]),
    ],
)
def test_every_command_fails_in_one_sentence_that_names_the_file_and_a_way_out(cli, here, command, files):
    # `hecc demo` takes no file; how it fails is in test_process.py.
    sentence = cli.refusal(command, *files)
    assert "\n" not in sentence
    assert "nowhere." in sentence
    assert re.search("; (check|give|make) ", sentence)


def test_without_an_argument_the_help_is_shown(cli):
    assert cli.invoke().output == cli.succeed("--help").output


def test_every_file_has_a_default_name(cli, made):
    files = {str(file.relative_to(made)) for file in made.rglob("*.bin")}
    keys = {"keys/secret.bin", "keys/public.bin", "keys/evaluation.bin"}
    assert files == {"plan.bin", "plan.client.bin", "encrypted.bin", "result.bin"} | keys


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_keys_are_the_owners_alone(cli, made):
    assert stat.S_IMODE((made / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((made / "keys" / "secret.bin").stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_secret_key_that_others_can_read_is_worth_a_warning(cli, here):
    Path("keys/secret.bin").chmod(0o644)
    found = cli.answer("encrypt", "plan.client.bin", "three.npy")
    assert found["warnings"] == ["keys/secret.bin: others may read this secret key; run `chmod 600` on it"]


def test_decrypted_values_are_those_of_the_simulation_in_clear(cli, here):
    shown = cli.succeed("decrypt", "plan.client.bin", "result.bin").stdout
    cli.succeed("simulate", "plan.bin", "three.npy", "--no-noise", "--output", "clear.npy")
    decrypted, clear = np.load("output.npy"), np.load("clear.npy")
    assert decrypted.shape == (3, 10)
    assert np.abs(decrypted - clear).max() < 2**-12 * np.abs(clear).max()
    predictions = [line.split()[1] for line in shown.splitlines() if line.strip()[:1].isdigit()]
    assert predictions == ["0", "1", "2"]


def test_the_clients_plan_holds_no_weights(cli, made):
    assert Plan.load(made / "plan.client.bin").circuit is None
    assert (made / "plan.client.bin").stat().st_size < 0.05 * (made / "plan.bin").stat().st_size


def test_client_commands_accept_the_servers_plan(cli, here):
    cli.succeed("decrypt", "plan.bin", "result.bin")
    cli.succeed("encrypt", "plan.bin", "three.npy")


def test_compile_says_what_a_run_will_cost_before_there_are_keys(cli, here):
    text = cli.succeed("compile", "model.onnx", "--calibration", "calibration.npy", "--verbose").stdout
    facts = ("depth", "security", "ring degree N", "rotations", "precision", "predicted time", "peak memory")
    sizes = ("evaluation keys", "encrypted input", "encrypted result")
    assert all(f"\n  {fact} " in text for fact in facts + sizes)
    assert "128 bits (classical adversary): log2 QP" in text
    assert "by the table of ia.cr/2024/463" in text


def test_what_is_said_by_default_is_short_and_verbose_says_the_rest(cli, here):
    lines = {
        ("compile", "model.onnx", "--calibration", "calibration.npy"): 5,
        ("keygen", "plan.client.bin", "--force"): 4,
        ("encrypt", "plan.client.bin", "three.npy"): 1,
        ("run", "plan.bin", "encrypted.bin"): 1,
        ("decrypt", "plan.client.bin", "result.bin"): 5,
    }
    told = {}
    for command, number in lines.items():
        short = cli.succeed(*command).stdout.splitlines()
        assert len(short) == number
        assert max(map(len, short)) <= 130
        told[command[0]] = cli.succeed(*command, "-v").stdout
        assert told[command[0]].count("\n") > number
    assert "\n  primes " in told["compile"]
    fingerprint = cli.answer("inspect", "keys/public.bin")["key_id"]
    assert f"\n  fingerprint     {fingerprint}\n" in told["keygen"]
    assert f"set {fingerprint}\n" in told["encrypt"]
    for command, words in (("run", "the native evaluator"), ("run", fingerprint), ("decrypt", fingerprint)):
        assert words in told[command]


def test_compile_says_in_five_lines_what_a_newcomer_has_to_know(cli, here):
    files, tensors, security, precision, cost = cli.succeed(
        "compile", "model.onnx", "--calibration", "calibration.npy"
    ).stdout.splitlines()
    assert re.fullmatch(
        r"plan.bin \(\d+ kB\) for the server and plan.client.bin \(\S+ kB\) for the client, in .* s", files
    )
    assert tensors == "  in and out  image (1x8x8, values 0 to 1) -> logits (10 values)"
    assert security.startswith("  security    128 bits, like AES-128: ")
    assert re.match(r"  precision   results are off by at most \S+% of their range", precision)
    assert re.match(r"  cost        \S+ s per row, \S+ kB to send, \S+ MB of memory; keys of 47.3 MB, sent once", cost)


def test_compile_puts_the_clients_plan_beside_the_servers(cli, here):
    cli.succeed("compile", "model.onnx", "--calibration", "calibration.npy", "--output", "net.hecc")
    assert Path("net.hecc").exists()
    assert Path("net.client.hecc").exists()
    cli.succeed("compile", "model.onnx", "--calibration", "calibration.npy", "--client-output", "for-you.bin")
    assert Path("for-you.bin").read_bytes() == Path("plan.client.bin").read_bytes()


def test_compile_without_calibration_says_that_it_guessed(cli, here):
    result = cli.succeed("compile", "model.onnx", "--input-range", "-0.5", "1", "--json")
    found = json.loads(result.stdout)
    assert found["calibration"] == "synthetic"
    assert (found["inputs"][0]["low"], found["inputs"][0]["high"]) == (-0.5, 1.0)
    assert len(found["warnings"]) == 1
    assert "estimated from made-up inputs from -0.5 to 1" in found["warnings"][0]
    assert f"warning: {found['warnings'][0]}" in result.stderr


def test_compile_warns_when_this_machine_could_not_run_the_plan(cli, here, monkeypatch):
    monkeypatch.setattr("hecc.measure.machine.available_memory", lambda: 1_000_000)
    result = cli.succeed("compile", "model.onnx", "--calibration", "calibration.npy")
    assert "warning: this machine has 1 MB of memory available, and would refuse to run this plan" in result.stderr


def test_quantum_and_security_choose_the_column_of_the_table(cli, here):
    options = ("--calibration", "calibration.npy", "--precision", "8")
    ring = cli.answer("compile", "model.onnx", "--security", "192", "--quantum", *options)["ring"]
    assert (ring["security"], ring["adversary"]) == (192, "quantum")
    assert ring["log2_qp"] <= ring["log2_qp_limit"] == {8192: 119, 16384: 239}[ring["ring_degree"]]


def test_the_public_key_alone_can_encrypt(cli, here):
    secret = Path("keys/secret.bin")
    kept = secret.read_bytes()
    secret.unlink()
    cli.succeed("encrypt", "plan.client.bin", "three.npy", "--public", "--output", "public.bin")
    cli.succeed("run", "plan.bin", "public.bin", "--output", "public-result.bin")
    secret.write_bytes(kept)
    secret.chmod(0o600)
    found = cli.answer("decrypt", "plan.client.bin", "public-result.bin")
    assert found["predictions"] == {"logits": [0, 1, 2]}


def test_a_passphrase_protects_the_secret_key(cli, here):
    without = cli.invoke("keygen", "plan.client.bin", "--keys", "private", "--passphrase", input="")
    assert (without.exit_code, without.stderr.count("\n")) == (1, 1)
    assert without.stderr.startswith(
        "error: there is no terminal to ask for the passphrase on; give it as the first line"
    )
    assert not (here / "private").exists()
    made = cli.invoke("keygen", "plan.client.bin", "--keys", "private", "--passphrase", input="long enough\n")
    assert made.exit_code == 0, made.output
    arguments = ("encrypt", "plan.client.bin", "three.npy", "--keys", "private")
    right = cli.invoke(*arguments, input="long enough\n")
    assert right.exit_code == 0, right.output
    wrong = cli.invoke(*arguments, input="something else\n")
    assert wrong.exit_code == 1
    assert "the passphrase does not open this secret key" in wrong.stderr
    assert cli.invoke(*arguments, input="").exit_code == 1


@pytest.mark.parametrize(("options", "device"), [((), "native"), (("--device", "seal"), "seal")])
def test_keys_are_for_the_plans_device_or_the_one_asked_for(cli, here, options, device):
    assert cli.answer("keygen", "plan.client.bin", "--keys", "more", *options)["device"] == device
    described = cli.succeed("inspect", "more/evaluation.bin").stdout
    assert re.search(rf"made for +the device {device}\n", described)
    cli.succeed("encrypt", "plan.client.bin", "three.npy", "--keys", "more")
    ran = cli.answer("run", "plan.bin", "encrypted.bin", "--evaluation-keys", "more/evaluation.bin")
    assert ran["device"] == device
    found = cli.answer("decrypt", "plan.client.bin", "result.bin", "--keys", "more")
    assert found["predictions"] == {"logits": [0, 1, 2]}


def test_force_replaces_a_whole_key_set(cli, here):
    before = cli.answer("inspect", "keys/secret.bin")["key_id"]
    cli.succeed("keygen", "plan.client.bin", "--force")
    after = [cli.answer("inspect", file)["key_id"] for file in sorted(Path("keys").iterdir())]
    assert len(after) == 3
    assert len(set(after)) == 1
    assert after[0] != before


def test_inputs_may_come_in_an_npz_file(cli, here):
    images = np.load("three.npy")
    np.savez("named.npz", image=images)
    np.savez("unnamed.npz", images)
    for file in ("named.npz", "unnamed.npz"):
        assert cli.answer("encrypt", "plan.client.bin", file)["rows"] == 3


def test_one_example_needs_no_axis_of_rows(cli, here):
    np.save("one.npy", np.load("three.npy")[0])
    assert cli.answer("encrypt", "plan.client.bin", "one.npy")["rows"] == 1


def test_the_folder_of_the_evaluation_keys_is_enough(cli, here):
    arguments = ("run", "plan.bin", "encrypted.bin", "--evaluation-keys", "keys", "--output")
    cli.succeed(*arguments, "again.bin")
    assert "this command reads that file" in cli.refusal(*arguments, "keys/evaluation.bin")


def test_values_are_written_as_the_name_says(cli, here):
    cli.succeed("decrypt", "plan.client.bin", "result.bin")
    values = np.load("output.npy")
    cli.succeed("decrypt", "plan.client.bin", "result.bin", "--output", "values.npz")
    with np.load("values.npz") as archive:
        (name,) = archive.files
        assert (archive[name] == values).all()
    cli.succeed("decrypt", "plan.client.bin", "result.bin", "--output", "values.csv")
    assert Path("values.csv").read_text().splitlines()[0] == ",".join(f"{name}[{i}]" for i in range(10))
    assert (load_table("values.csv", 10) == values).all()
    for arguments in (("decrypt", "plan.client.bin", "result.bin"), ("simulate", "plan.bin", "three.npy")):
        sentence = cli.refusal(*arguments, "--output", "values.txt")
        assert sentence == (
            "values.txt: values are written as .npy, .npz, .csv or .parquet; give a name with one of these endings"
        )


def test_the_columns_of_a_table_have_the_names_of_the_classes(cli, here):
    Path("names.txt").write_text("\n".join(f"digit {i}, maybe" for i in range(10)))
    cli.succeed(
        "compile", "model.onnx", "--calibration", "calibration.npy", "--class-names", "names.txt", "-o", "named.bin"
    )
    cli.succeed("simulate", "named.bin", "three.npy", "--output", "values.csv")
    assert Path("values.csv").read_text().startswith('"digit 0, maybe","digit 1, maybe",')
    assert load_table("values.csv").shape == (3, 10)


def test_several_outputs_become_an_npz_file(cli, here):
    Path("two.onnx").write_bytes(make_model(4, "yz"))
    np.save("x.npy", np.array([[0.5, -0.25, 1.0, 0.0]]))
    cli.succeed("compile", "two.onnx", "--output", "two.bin")
    cli.succeed("keygen", "two.client.bin", "--keys", "two")
    cli.succeed("encrypt", "two.client.bin", "x.npy", "--keys", "two")
    cli.succeed("run", "two.bin", "encrypted.bin", "--evaluation-keys", "two/evaluation.bin")
    assert cli.answer("decrypt", "two.client.bin", "result.bin", "--keys", "two")["output"] == "output.npz"
    named = ("decrypt", "two.client.bin", "result.bin", "--keys", "two", "--output")
    assert "has 2 outputs; use .npz" in cli.refusal(*named, "output.npy")
    cli.succeed(*named, "values.csv")
    assert Path("values.csv").read_text().startswith("y[0],y[1],y[2],y[3],z[0],")
    with np.load("output.npz") as outputs:
        np.testing.assert_allclose(outputs["y"], [[0.25, 0.0625, 1.0, 0.0]], atol=2**-11)
        np.testing.assert_allclose(outputs["z"], [[1.0, -0.5, 2.0, 0.0]], atol=2**-11)


def test_simulate_measures_the_accuracy(cli, here):
    found = cli.answer("simulate", "plan.bin", "images.npy", "--labels", "labels.npy")
    assert found["accuracy"] == 1.0
    assert found["rows"] == 16
    assert "accuracy 100.00%" in cli.succeed("simulate", "plan.bin", "images.npy", "--labels", "labels.npy").stdout


@pytest.mark.parametrize("name", ["numbers.csv", "numbers.txt", "names.csv", "names.txt", "column.npy"])
def test_simulate_takes_the_right_answers_as_evaluate_does(cli, here, name):
    labels = np.load("labels.npy").tolist()
    labels[0] = 7  # an image of 0 that is said to be a 7
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    Path("words.txt").write_text("\n".join(words))
    plan = (
        "compile",
        "model.onnx",
        "--calibration",
        "calibration.npy",
        "--class-names",
        "words.txt",
        "--output",
        "named.bin",
    )
    cli.succeed(*plan)
    if name == "column.npy":
        np.save(name, np.array(labels)[:, None])
    else:
        given = [words[label] for label in labels] if name.startswith("names") else map(str, labels)
        Path(name).write_text("\n".join(given))
    found = cli.answer("simulate", "named.bin", "images.npy", "--labels", name)
    evaluated = cli.answer("evaluate", "named.bin", "--inputs", "images.npy", "--labels", name)
    assert found["accuracy"] == evaluated["simulated"]["accuracy"] == 15 / 16
    assert found["mean_absolute_error"] is None


def test_simulate_measures_the_error_of_a_regression(cli, here):
    Path("square.onnx").write_bytes(make_model(1, "y"))
    cli.succeed("compile", "square.onnx", "--output", "square.bin")
    np.save("x.npy", np.array([[0.5], [-0.25]]))
    Path("y.csv").write_text("0.5\n0.3125\n")
    arguments = ("simulate", "square.bin", "x.npy", "--labels", "y.csv", "--no-noise")
    found = cli.answer(*arguments)
    assert found["accuracy"] is None
    assert found["mean_absolute_error"] == pytest.approx(0.25)
    assert "mean absolute error 0.25" in cli.succeed(*arguments).stdout


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("plan.bin", "a server plan file"),
        ("plan.client.bin", "a client plan file"),
        ("keys/secret.bin", "a secret key file"),
        ("keys/public.bin", "a public key file"),
        ("keys/evaluation.bin", "an evaluation keys file"),
        ("encrypted.bin", "a ciphertext file"),
        ("result.bin", "a result file"),
    ],
)
def test_inspect_knows_every_kind_of_file(cli, made, file, kind):
    assert f"{kind}, " in cli.succeed("inspect", made / file).stdout.splitlines()[0]
    assert cli.answer("inspect", made / file)["bytes"] == (made / file).stat().st_size


def test_inspect_shows_the_circuit_when_asked(cli, made):
    assert "linear_transform" not in cli.succeed("inspect", made / "plan.bin").stdout
    assert "linear_transform" in cli.succeed("inspect", made / "plan.bin", "--circuit").stdout
    assert "linear_transform" in cli.answer("inspect", made / "plan.bin", "--circuit")["circuit"]


def test_inspect_says_what_each_layer_costs_and_loses_and_why(cli, made):
    text = cli.succeed("inspect", made / "plan.bin").stdout
    assert "lost" in text
    assert "was chosen of" in text
    assert "instead of" in text
    found = cli.answer("inspect", made / "plan.bin")
    assert found["layers"][0]["bits_lost"] is None
    assert all(isinstance(layer["bits_lost"], float) for layer in found["layers"][1:])
    assert {"babies", "giants", "diagonals", "rotations", "limbs", "scale_bits"} <= set(found["layers"][1])
    assert any(len(choice["offers"]) > 1 for choice in found["choices"])
    assert "layers" not in cli.answer("inspect", made / "plan.client.bin")


def test_inspect_shows_nothing_secret(cli, made):
    found = cli.answer("inspect", made / "keys/secret.bin")
    assert set(found) == {"file", "kind", "bytes", "key_id", "protected", "ring", "warnings"}


def test_json_is_one_object_and_nothing_else_for_every_command(cli, here):
    for arguments in (
        ("compile", "model.onnx", "--calibration", "calibration.npy"),
        ("keygen", "plan.client.bin", "--force"),
        ("encrypt", "plan.client.bin", "three.npy"),
        ("run", "plan.bin", "encrypted.bin"),
        ("decrypt", "plan.client.bin", "result.bin"),
        ("inspect", "plan.bin"),
        ("simulate", "plan.bin", "three.npy"),
    ):
        result = cli.succeed(*arguments, "--json")
        assert result.stdout.count("\n") == 1
        assert json.loads(result.stdout)["warnings"] == []
        assert result.stderr  # what humans read is still there


def test_the_demonstration_agrees_with_the_network_in_clear(cli):
    found = cli.answer("demo", "--images", "3")
    assert found["labels"] == found["clear"] == found["encrypted"] == [0, 1, 2]
    assert found["agree"] == 3
    assert found["largest_error"] < 0.01 * found["logit_range"]
    assert set(found["seconds"]) == {"compile", "keygen", "encrypt", "run", "decrypt"}
    assert found["plan"]["ring"]["security"] == 128


def test_the_demonstration_needs_no_onnxruntime(cli, monkeypatch):
    monkeypatch.setattr("hecc.cli.plans.demo.find_spec", lambda name: None)
    found = cli.answer("demo", "--images", "2")
    assert found["reference"] == "hecc's imported graph"
    assert found["agree"] == 2


def test_the_demonstration_writes_its_files_and_keeps_those_of_others(cli, tmp_path):
    names = ["model.onnx", "images.npy", "labels.npy", "calibration.npy"]
    found = cli.answer("demo", "--files", tmp_path)
    assert found["files"] == [str(tmp_path / name) for name in names]
    assert sorted(tmp_path.iterdir()) == sorted(tmp_path / name for name in names)
    assert np.load(tmp_path / "images.npy").shape == (16, 1, 8, 8)

    cli.succeed("demo", "--files", tmp_path, "--images", "3", "--force")
    assert np.load(tmp_path / "images.npy").shape == (3, 1, 8, 8)
    assert np.load(tmp_path / "calibration.npy").shape == (200, 1, 8, 8)

    (tmp_path / "model.onnx").write_bytes(b"mine")
    refusal = cli.refusal("demo", "--files", tmp_path)
    assert "model.onnx: there is a file of this name, and it stays" in refusal
    assert (tmp_path / "model.onnx").read_bytes() == b"mine"
    cli.succeed("demo", "--files", tmp_path, "--force")
    assert (tmp_path / "model.onnx").read_bytes() != b"mine"


def test_the_demonstration_draws_the_digits_and_says_why_it_is_secure(cli):
    text = cli.succeed("demo", "--images", "2").stdout
    assert "█" in text
    assert "encrypted" in text
    assert "by the table of ia.cr/2024/463" in text


def test_estimate_says_what_every_layer_costs_and_writes_nothing(cli, here):
    before = sorted(here.rglob("*"))
    arguments = ("estimate", "model.onnx", "--calibration", "calibration.npy")
    text = cli.succeed(*arguments).stdout
    assert sorted(here.rglob("*")) == before
    assert re.search(r"\n  layer +time +share +rotations +diagonals +limbs +precision +with\n", text)
    assert re.search(r"\n  Gemm '/3/Gemm' +[\d.]+ ms +[\d.]+% +21 +64 +4 +[\d.]+ bits +Flatten '/2/Flatten'\n", text)
    assert "\n  advice: 4 channels instead of 8 in Conv '/0/Conv' would make the network " in text
    found = cli.answer(*arguments)
    compiled = cli.answer("compile", "model.onnx", "--calibration", "calibration.npy")
    assert (
        found["seconds_per_row"]
        == compiled["seconds_per_row"]
        == pytest.approx(sum(layer["seconds"] for layer in found["layers"]))
    )
    assert found["ring"] == compiled["ring"]
    assert found["layers"][3]["merged"] == ["Flatten '/2/Flatten'"]
    assert [advice["kind"] for advice in found["advice"]] == ["channels", "precision", "stride"]
    assert found["advice"][0]["text"] in text


@pytest.mark.parametrize("command", ["compile", "estimate"])
def test_the_options_that_shape_a_plan_are_pythons_with_its_defaults(cli, here, monkeypatch, command):
    given = {}

    def record(model: Path, **options: object) -> None:
        given.update(options)
        raise hecc.InputError("recorded")

    signature = inspect.signature(getattr(hecc, command)).parameters
    monkeypatch.setattr(f"hecc.{command}", record)
    assert cli.refusal(command, "model.onnx") == "recorded"
    defaults = {name: parameter.default for name, parameter in signature.items() if name != "model"}
    # Of options of single schemes those that are not given are not passed on: another scheme would refuse them.
    single = {row.name for row in options_of(CompileOptions) if row.schemes}
    expected = {name: default for name, default in defaults.items() if name not in single}
    assert {**given, "progress": None, "example_input": None} == expected


def test_estimate_takes_every_option_that_shapes_a_plan(cli):
    commands = get_command(app).commands
    compiled, estimated = ({option for each in commands[name].params for option in each.opts} for name in COMMANDS[:2])
    assert compiled - estimated == {"--output", "-o", "--client-output", "--force", "--verbose", "-v"}
    assert estimated - compiled == {"--advice"}


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        (("--batch", "4"), "batch +up to 4 rows at once"),
        (("--disclose", "20", "--precision", "8"), "to be disclosed +20 results of one key"),
        (("--class-names", "names.txt"), "labels logits +zero, one, two"),
    ],
    ids=lambda value: value[0],
)
def test_estimate_is_about_the_plan_that_the_options_make(cli, here, options, fact):
    Path("names.txt").write_text("zero one two three four five six seven eight nine".replace(" ", "\n"))
    arguments = ("model.onnx", "--calibration", "calibration.npy", *options)
    assert re.search(rf"\n  {fact}", cli.succeed("estimate", *arguments, "--no-advice").stdout)
    found, compiled = cli.answer("estimate", *arguments, "--no-advice"), cli.answer("compile", *arguments)
    shared = set(found) & set(compiled)
    assert {"batch", "disclose", "outputs", "ring", "peak_memory_bytes"} < shared
    assert {name: found[name] for name in shared} == {name: compiled[name] for name in shared}


def test_estimate_gives_advice_unless_told_not_to(cli, here):
    arguments = ("estimate", "model.onnx", "--calibration", "calibration.npy", "--no-advice")
    assert "advice" not in cli.succeed(*arguments).stdout
    assert cli.answer(*arguments)["advice"] == []


def test_estimate_says_when_it_knows_of_nothing_better(cli, here):
    # y = x^2 and z = 2x: two layers of which neither is most of the time.
    Path("two.onnx").write_bytes(make_model(4, "yz"))
    text = cli.succeed("estimate", "two.onnx").stdout
    found = cli.answer("estimate", "two.onnx")["advice"]
    assert ("no change that was tried would make the network much faster" in text) == (not found)


def test_report_writes_one_page_and_replaces_an_older_one(cli, here):
    assert "report.html (" in cli.succeed("report", "plan.bin").stdout
    Path("page.html").write_text(f"{GENERATOR} an older one")
    found = cli.answer("report", "plan.bin", "-o", "page.html", "--inputs", "images.npy")
    page = Path("page.html").read_text(encoding="utf-8")
    assert found == {"report": "page.html", "bytes": len(page.encode()), "warnings": []}
    assert page.startswith("<!DOCTYPE html>\n")
    assert page.endswith("</html>\n")
    assert not list(here.glob(".*.tmp"))


def test_report_of_a_clients_plan_says_what_can_be_said(cli, here):
    cli.succeed("report", "plan.client.bin", "--output", "client.html")
    assert "This is the client's plan." in Path("client.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_leaves_the_older_one(cli, here, monkeypatch):
    Path("report.html").write_text(f"{GENERATOR} an older one")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    sentence = cli.refusal("report", "plan.bin")
    assert sentence == ("report.html: cannot be written (No space left on device); check the folder and the free space")
    assert Path("report.html").read_text() == f"{GENERATOR} an older one"
    assert not list(here.glob(".*.tmp"))
