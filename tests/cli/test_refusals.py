"""What a user does wrong becomes one sentence on stderr and exit code 1: never a traceback, never a wrong answer."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import hecc
from hecc.cli.options import read_size


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compile", "nowhere.onnx"], "there is no file 'nowhere.onnx'; give the path of an ONNX model"),
        (
            ["compile", "refused.onnx"],
            "Bernoulli 'dice' (opset 17): its result is random; export the network in inference mode",
        ),
        (
            ["compile", "model.onnx", "--security", "80"],
            "a security of 80 bits; hecc knows 128, 192, 256 and nothing below",
        ),
        (
            ["compile", "model.onnx", "--precision", "-1"],
            "a precision of -1 bits; give a positive number, usually 8 to 20",
        ),
        (
            ["compile", "model.onnx", "--input-range", "1", "0"],
            "input 'image': the range 1 to 0 is empty; give the lowest and the highest value that inputs can have",
        ),
        (
            ["compile", "model.onnx", "--calibration", "labels.npy"],
            (
                "calibration for input 'image': shape (16,); give (1, 8, 8) for one example, "
                "or (rows, 1, 8, 8) for several"
            ),
        ),
        (
            ["compile", "model.onnx", "--calibration", "images.npy", "--input-range", "0", "0.5"],
            (
                "calibration for input 'image': values from 0 to 1 are outside 0 to 0.5, first in row 0, element "
                "(0, 0, 2); widen the input range, or preprocess the calibration inputs as in training"
            ),
        ),
        (
            ["compile", "model.onnx", "--output", "nowhere/plan.bin"],
            "nowhere/plan.bin: cannot be written, as there is no such folder; make it first",
        ),
        (["estimate", "nowhere.onnx"], "there is no file 'nowhere.onnx'; give the path of an ONNX model"),
        (
            ["estimate", "refused.onnx"],
            "Bernoulli 'dice' (opset 17): its result is random; export the network in inference mode",
        ),
        (
            ["report", "plan.bin", "--output", "nowhere/report.html"],
            "nowhere/report.html: cannot be written, as there is no such folder; make it first",
        ),
        (
            ["report", "plan.client.bin", "--inputs", "three.npy"],
            "plan.client.bin: this is the client's plan, without the circuit; give the server's plan file",
        ),
        (
            ["encrypt", "plan.client.bin", "nowhere.jpg"],
            "nowhere.jpg: cannot be read (No such file or directory); check the path",
        ),
        (
            ["encrypt", "plan.client.bin", "nowhere/*.jpg"],
            "nowhere/*.jpg: no file matches this pattern; check the folder, and how the names end",
        ),
        (
            ["compile", "model.onnx", "--calibration", "nowhere"],
            "nowhere: cannot be read (No such file or directory); check the path",
        ),
        (["keygen", "nowhere.bin"], "nowhere.bin: cannot be read (No such file or directory); check the path"),
        (
            ["encrypt", "plan.client.bin", "nowhere.npy"],
            "nowhere.npy: cannot be read (No such file or directory); check the path",
        ),
        (
            ["encrypt", "plan.client.bin", "model.onnx"],
            (
                "model.onnx: neither a .npy nor an .npz file; save the array with numpy.save, or let the name of a "
                "table end in .csv or .parquet, and that of an image in .png or .jpg"
            ),
        ),
        (
            ["encrypt", "plan.client.bin", "three.npy", "--keys", "elsewhere"],
            (
                "elsewhere: neither secret.bin nor public.bin is here; give the folder of the keys, or make some, as "
                "`hecc keygen` does"
            ),
        ),
        (
            ["encrypt", "plan.client.bin", "three.npy", "--keys", "elsewhere", "--public"],
            "elsewhere: no public.bin is here; give the folder of the keys, or make some, as `hecc keygen` does",
        ),
        (
            ["run", "plan.client.bin", "encrypted.bin"],
            "plan.client.bin: this is the client's plan, without the circuit; give the server's plan file",
        ),
        *(
            (
                ["run", "plan.bin", "encrypted.bin", "--evaluation-keys", path],
                (
                    f"{path}: no evaluation keys are here; the client makes them (`hecc keygen` writes "
                    "keys/evaluation.bin) and sends them: give the path of that file as --evaluation-keys"
                ),
            )
            for path in ("nowhere.bin", ".")
        ),
        (
            ["compile", "plan.bin", "--output", "new.bin"],
            (
                "'plan.bin' is a file of hecc, not an ONNX model; give the network's ONNX file (`hecc inspect` says "
                "what files of hecc hold)"
            ),
        ),
        (
            ["compile", "three.npy"],
            (
                "'three.npy' is a NumPy array (.npy), not an ONNX model; export the network in ONNX's binary format, "
                "for instance with torch.onnx.export"
            ),
        ),
        (
            ["compile", "model.onnx", "--batch", "0"],
            (
                "a batch of 0 rows; give a number from 1 to 32768, since no ciphertext holds more rows, and more of "
                "them are encrypted as several batches"
            ),
        ),
        (
            ["inspect", "plan.client.bin", "--circuit"],
            "plan.client.bin: this is a client plan file, which holds no circuit; give the server's plan file",
        ),
        (
            ["simulate", "plan.client.bin", "three.npy"],
            "plan.client.bin: this is the client's plan, without the circuit; give the server's plan file",
        ),
        (["bench", "nowhere.bin"], "nowhere.bin: cannot be read (No such file or directory); check the path"),
        (
            ["simulate", "plan.bin", "three.npy", "--labels", "labels.npy"],
            "labels of shape (16,) for 3 rows; give one for each row, and no header",
        ),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_wrong_argument_is_refused_with_this_sentence(cli, here, arguments, sentence):
    assert cli.refusal(*arguments) == sentence


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros((3, 28, 28), np.float32), "shape (3, 28, 28)"),
        (np.zeros((0, 1, 8, 8), np.float32), "shape (0, 1, 8, 8), an array without rows; give one row at least"),
        (np.zeros(0, np.float32), "shape (0,), an array without rows; give one row at least"),
        (np.array("an image"), "dtype <U8"),
        (np.zeros((1, 8, 8), complex), "dtype complex128"),
        (np.full((1, 8, 8), np.nan), "not a number or infinite"),
        (np.full((1, 8, 8), np.inf), "not a number or infinite"),
        (np.full((1, 8, 8), 255.0), "are outside 0 to 1"),
    ],
)
def test_inputs_that_the_plan_does_not_take_are_refused(cli, here, array, fault):
    np.save("x.npy", array)
    assert fault in cli.refusal("encrypt", "plan.client.bin", "x.npy")
    assert "input 'image': " in cli.refusal("simulate", "plan.bin", "x.npy")


def test_a_truncated_model_is_named_as_one(cli, here):
    Path("model.onnx").write_bytes(Path("model.onnx").read_bytes()[:-100])
    assert cli.refusal("compile", "model.onnx").startswith("'model.onnx' is an ONNX model that is truncated or damaged")


def test_python_objects_in_an_array_are_refused(cli, here):
    np.save("x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert cli.refusal("encrypt", "plan.client.bin", "x.npy").startswith("x.npy: damaged, or not an array of numbers")


def test_damaged_arrays_are_refused(cli, here):
    whole = Path("three.npy").read_bytes()
    np.savez("three.npz", image=np.load("three.npy"))
    archive = Path("three.npz").read_bytes()
    for name, data in (("x.npy", whole[:-4]), ("x.npy", whole[:20]), ("x.npz", archive[:200])):
        Path(name).write_bytes(data)
        assert cli.refusal("encrypt", "plan.client.bin", name).startswith(
            f"{name}: damaged, or not an array of numbers"
        )
    Path("x.npy").write_bytes(b"")
    assert cli.refusal("encrypt", "plan.client.bin", "x.npy").startswith("x.npy: neither a .npy nor an .npz file")


def test_an_array_whose_header_claims_terabytes_is_refused(cli, here):
    data = Path("three.npy").read_bytes()
    Path("x.npy").write_bytes(data.replace(b"(3, 1, 8, 8), }   ", b"(3, 1, 8, 999999)}", 1))
    assert cli.refusal("encrypt", "plan.client.bin", "x.npy").startswith("x.npy: damaged, or not an array of numbers")


def test_arrays_under_other_names_are_refused(cli, here):
    np.savez("x.npz", picture=np.load("three.npy"))
    assert "'picture'" in cli.refusal("encrypt", "plan.client.bin", "x.npz")


def test_a_truncated_plan_is_refused(cli, here):
    Path("plan.bin").write_bytes(Path("plan.bin").read_bytes()[:-100])
    assert cli.refusal("run", "plan.bin", "encrypted.bin").startswith("plan.bin: truncated")


def test_an_altered_plan_is_refused(cli, here):
    data = bytearray(Path("plan.bin").read_bytes())
    data[len(data) // 2] ^= 1
    Path("plan.bin").write_bytes(data)
    assert "plan.bin: blob" in cli.refusal("inspect", "plan.bin")


@pytest.mark.parametrize(
    "arguments",
    [
        ["keygen", "encrypted.bin"],
        ["run", "keys/public.bin", "encrypted.bin"],
        ["run", "plan.bin", "plan.bin"],
        ["run", "plan.bin", "encrypted.bin", "--evaluation-keys", "keys/secret.bin"],
        ["decrypt", "plan.client.bin", "encrypted.bin"],
    ],
)
def test_a_file_of_another_kind_is_refused(cli, here, arguments):
    assert "expected" in cli.refusal(*arguments)


def test_files_of_another_plan_are_refused(cli, here, other):
    for option, name in (((), "secret.bin"), (("--public",), "public.bin")):
        theirs = ("--keys", other / "keys", *option)
        sentence = cli.refusal("encrypt", "plan.client.bin", "three.npy", *theirs)
        assert sentence.startswith(f"{other / 'keys' / name}: the keys were made for another ")
        assert sentence.endswith("; make keys for this plan, or give the plan that they were made for")
    assert cli.refusal("run", "plan.bin", other / "encrypted.bin")
    keys = other / "keys" / "evaluation.bin"
    sentence = cli.refusal("run", "plan.bin", "encrypted.bin", "--evaluation-keys", keys)
    assert sentence.startswith(f"{keys}: the keys were made for another ")
    assert sentence.endswith("; make keys for this plan, or give the plan that they were made for")
    assert "the result of another plan" in cli.refusal("decrypt", "plan.client.bin", other / "result.bin")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("encrypt {other}/plan.client.bin three.npy --keys keys", "the keys were made for another plan, with "),
        ("run {other}/plan.bin encrypted.bin", "the keys were made for another plan, with "),
        ("run plan.bin {other}/encrypted.bin", "encrypted for another plan; encrypt again with this plan, or run the"),
        ("decrypt {other}/plan.client.bin result.bin", "another plan"),
        ("run plan.bin result.bin", "this command reads that file, a result file, which its output would replace"),
        (
            "run plan.client.bin encrypted.bin",
            "this is the client's plan, without the circuit; give the server's plan file",
        ),
        ("decrypt plan.client.bin encrypted.bin", "expected a result file"),
        ("keygen keys/evaluation.bin --keys new", "expected "),
    ],
)
def test_what_was_swapped_is_said(cli, here, other, command, sentence):
    assert sentence in cli.refusal(*command.format(other=other).split())


def test_the_rows_of_another_client_are_refused(cli, here):
    cli.succeed("keygen", "plan.client.bin", "--keys", "bob")
    theirs = ("--evaluation-keys", "bob/evaluation.bin")
    assert "use the evaluation keys of the client that encrypted" in cli.refusal(
        "run", "plan.bin", "encrypted.bin", *theirs
    )
    assert "use the secret key of the client" in cli.refusal(
        "decrypt", "plan.client.bin", "result.bin", "--keys", "bob"
    )


def test_an_evaluation_needs_the_keys_of_both_sides(cli, here):
    Path("keys/evaluation.bin").unlink()
    sentence = cli.refusal("evaluate", "plan.bin", "--inputs", "three.npy", "--keys", "keys")
    assert sentence == "keys: no evaluation.bin is here; make keys first, as `hecc keygen` does"


def test_an_existing_secret_key_is_not_overwritten(cli, here):
    before = Path("keys/secret.bin").read_bytes()
    assert cli.refusal("keygen", "plan.client.bin").startswith("keys/secret.bin: a secret key is here already")
    assert Path("keys/secret.bin").read_bytes() == before


def test_a_public_key_cannot_decrypt(cli, here):
    Path("keys/secret.bin").unlink()
    assert "a public key cannot decrypt" in cli.refusal("decrypt", "plan.client.bin", "result.bin")


def test_the_client_insists_on_its_own_security(cli, here):
    assert "192-bit" in cli.refusal("keygen", "plan.client.bin", "--keys", "strong", "--min-security", "192")
    assert "nothing below" in cli.refusal("keygen", "plan.client.bin", "--keys", "weak", "--min-security", "64")
    assert not Path("strong").exists()


def test_a_machine_without_the_memory_refuses_to_run(cli, here, monkeypatch):
    monkeypatch.setattr("hecc.measure.machine.available_memory", lambda: 1 << 20)
    assert "a run of this plan needs about" in cli.refusal("run", "plan.bin", "encrypted.bin")


def test_a_machine_without_the_memory_refuses_to_make_keys(cli, here, monkeypatch):
    monkeypatch.setattr("hecc.measure.machine.available_memory", lambda: 1 << 20)
    sentence = cli.refusal("keygen", "plan.client.bin", "--keys", "new")
    assert sentence.startswith("making keys for this plan needs about ")
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("command", "output", "free"),
    [
        ("keygen plan.client.bin --keys new", "new", 30_000_000),
        ("encrypt plan.client.bin three.npy --output new", "new", 300_000),
        ("run plan.bin encrypted.bin --output new", "new", 300_000),
        ("decrypt plan.client.bin result.bin --output new", "new", 200),
        ("simulate plan.bin three.npy --output new", "new", 200),
        ("report plan.bin --output new", "new", 200),
    ],
)
def test_a_disk_without_the_space_is_refused_early(cli, here, monkeypatch, command, output, free):
    usage = shutil._ntuple_diskusage(1 << 40, (1 << 40) - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "are free there; free some, or choose another folder" in cli.refusal(*command.split())
    assert not Path(output).exists()
    assert not list(here.rglob(".*.tmp"))


@pytest.mark.parametrize(
    "command",
    [
        "compile model.onnx --output nowhere/f",
        "compile model.onnx --client-output nowhere/f",
        "encrypt plan.client.bin three.npy --output nowhere/f",
        "run plan.bin encrypted.bin --output nowhere/f",
        "decrypt plan.client.bin result.bin --output nowhere/f",
        "simulate plan.bin three.npy --output nowhere/f",
        "report plan.bin --output nowhere/f",
    ],
)
def test_a_folder_that_is_not_there_is_refused_before_any_work(cli, here, monkeypatch, command):
    def work(*_: object, **__: object) -> None:
        pytest.fail("the work began")

    for name in ("hecc.compile", "hecc.simulate", "hecc.report", "hecc.server.Server.__init__"):
        monkeypatch.setattr(name, work)
    for name in ("_encryption", "_decrypt"):
        monkeypatch.setattr(f"hecc.runtime.ckks.client.client.Client.{name}", work)
    assert "nowhere/f: cannot be written, as there is no such folder; make it first" in cli.refusal(*command.split())


@pytest.mark.parametrize(
    ("command", "lost", "option"),
    [
        ("compile model.onnx --output model.onnx", "model.onnx", "--output"),
        ("compile model.onnx --output ./model.onnx", "model.onnx", "--output"),
        ("compile model.onnx --client-output model.onnx", "model.onnx", "--client-output"),
        ("compile model.onnx --calibration calibration.npy --output calibration.npy", "calibration.npy", "--output"),
        ("compile model.onnx --chain-of plan.bin", "plan.bin", "--output"),
        ("compile model.onnx --class-names labels.npy --output labels.npy", "labels.npy", "--output"),
        ("compile model.onnx --class-names logits=labels.npy --output labels.npy", "labels.npy", "--output"),
        ("compile model.onnx --mean labels.npy --output labels.npy", "labels.npy", "--output"),
        ("keygen keys/public.bin --force", "keys/public.bin", "--keys"),
        ("encrypt plan.client.bin three.npy --output three.npy", "three.npy", "--output"),
        ("encrypt plan.client.bin three.npy --output plan.client.bin", "plan.client.bin", "--output"),
        ("encrypt plan.client.bin three.npy --output keys/secret.bin", "keys/secret.bin", "--output"),
        ("encrypt plan.client.bin photos --output photos/one.png", "photos/one.png", "--output"),
        ("run plan.bin encrypted.bin --output encrypted.bin", "encrypted.bin", "--output"),
        ("run plan.bin encrypted.bin --output plan.bin", "plan.bin", "--output"),
        ("run plan.bin encrypted.bin --output keys/evaluation.bin", "keys/evaluation.bin", "--output"),
        ("decrypt plan.client.bin result.bin --output result.bin", "result.bin", "--output"),
        ("decrypt plan.client.bin result.bin --output keys/secret.bin", "keys/secret.bin", "--output"),
        ("simulate plan.bin three.npy --output three.npy", "three.npy", "--output"),
        ("report plan.bin --output plan.bin", "plan.bin", "--output"),
    ],
)
def test_an_output_does_not_take_the_place_of_an_input(cli, here, command, lost, option):
    Path("photos").mkdir()
    Path("photos/one.png").write_bytes(b"an image")
    before = Path(lost).read_bytes()
    sentence = cli.refusal(*command.split())
    assert sentence.removeprefix("./").startswith(f"{lost}: this command reads that file")
    assert sentence.endswith(f"give another name with {option}")
    assert Path(lost).read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        "compile model.onnx --calibration calibration.npy --output keys/secret.bin",
        "compile model.onnx --calibration calibration.npy --client-output keys/secret.bin",
        "run plan.bin encrypted.bin --output keys/secret.bin",
        "report plan.bin --output keys/secret.bin",
        "simulate plan.bin three.npy --output keys/secret.bin",
    ],
)
def test_a_secret_key_is_no_output(cli, here, command):
    before = Path("keys/secret.bin").read_bytes()
    assert cli.refusal(*command.split()).startswith(
        "keys/secret.bin: this is a secret key, which cannot be made again; "
    )
    assert Path("keys/secret.bin").read_bytes() == before


def test_two_outputs_are_two_files(cli, here):
    sentence = cli.refusal("compile", "model.onnx", "--output", "p1.bin", "--client-output", "keys/../p1.bin")
    assert sentence == (
        "keys/../p1.bin: two outputs of this command would be this one file; give another name with --client-output"
    )
    assert not Path("p1.bin").exists()


def test_a_link_to_an_input_is_no_output(cli, here):
    Path("link.npy").symlink_to("three.npy")
    assert "this command reads that file" in cli.refusal(
        "encrypt", "plan.client.bin", "three.npy", "--output", "link.npy"
    )


def test_results_of_an_ordinary_plan_are_not_to_be_disclosed(cli, here):
    sentence = cli.refusal("decrypt", "plan.client.bin", "result.bin", "--disclose")
    assert sentence.startswith("the plan has no room for the noise that a result needs before it is disclosed")
    assert not Path("output.npy").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "plan.bin", "encrypted.bin", "--memory", "lots"], "'lots' is not a size such as 200MB or 1.5GB"),
        (["run", "plan.bin", "encrypted.bin", "--memory", "2G"], "'2G' is not a size such as 200MB or 1.5GB"),
        (["compile", "model.onnx", "--key-budget", "30"], "'30' is not a size such as 200MB or 1.5GB"),
        *(
            ([*command, "--device", "gpu"], "'gpu' is not one of 'native', 'seal'")
            for command in (
                ["compile", "model.onnx"],
                ["keygen", "plan.client.bin"],
                ["run", "plan.bin", "encrypted.bin"],
                ["bench", "plan.bin"],
            )
        ),
    ],
)
def test_sizes_and_devices_are_the_same_in_every_command(cli, here, arguments, sentence):
    result = cli.invoke(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_size_has_a_decimal_unit():
    assert [read_size(text) for text in ("200MB", "1.5 gb", "7kB")] == [200_000_000, 1_500_000_000, 7_000]


def test_disclosure_needs_a_number_of_results(cli, here):
    assert "0 results to be disclosed" in cli.refusal("compile", "model.onnx", "--disclose", "0")


def test_a_refusal_is_json_when_that_was_asked_for(cli, here):
    result = cli.invoke("compile", "refused.onnx", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["kind"] == "UnsupportedError"
    assert result.stderr == f"error: {found['error']}\n"


def test_wrong_usage_has_its_own_exit_code(cli):
    for arguments in (
        ["compile"],
        ["nonsense"],
        ["compile", "model.onnx", "--security", "high"],
        ["demo", "--images", "99"],
    ):
        assert cli.invoke(*arguments).exit_code == 2


def test_an_interruption_has_its_own_exit_code(cli, here, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hecc.passes.ckks.driving.network.build_plan", interrupt)
    assert cli.refusal("compile", "model.onnx", code=130) == "interrupted"


def test_a_fault_of_ours_asks_for_a_report_and_shows_its_traceback_only_on_request(cli, here, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("hecc.passes.ckks.driving.network.build_plan", fail)
    sentence = cli.refusal("compile", "model.onnx", code=70)
    assert sentence == "a fault in hecc (KeyError: 'lost'); please report it, with what HECC_DEBUG=1 shows"
    monkeypatch.setenv("HECC_DEBUG", "1")
    result = cli.invoke("compile", "model.onnx", "--json")
    assert "Traceback" in result.stderr
    assert json.loads(result.stdout)["kind"] == "KeyError"


def test_a_failed_keygen_keeps_the_old_keys(cli, here, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    before = {file: file.read_bytes() for file in Path("keys").rglob("*") if file.is_file()}
    monkeypatch.setattr("hecc.runtime.ckks.keys.keyfiles.EvaluationKeyFile.write", fail)
    assert cli.refusal("keygen", "plan.client.bin", "--force").startswith("out of memory")
    assert {file: file.read_bytes() for file in Path("keys").rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_large_keys_are_not_made_without_being_asked_for(cli, here, monkeypatch, arguments):
    monkeypatch.setattr("hecc.cli.client.keygen.LARGE", 30_000_000)
    command = ("keygen", "plan.client.bin", "--keys", "new", *arguments)
    result = cli.invoke(*command)
    assert result.exit_code == 1
    refused = re.search(
        r"error: keys of up to ([\d.]+) MB are not made without being asked for; add --yes, or compile with --key-bu",
        result.stderr,
    )
    assert refused
    assert not Path("new").exists()
    made = cli.succeed(*command, "--yes")
    assert f"the keys will take up to {refused[1]} MB in new\n" in made.stderr
    size = sum(file.stat().st_size for file in Path("new").iterdir())
    assert 0.95 * float(refused[1]) <= size / 1e6 <= float(refused[1]) + 0.05


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 130)])
def test_large_keys_are_made_when_somebody_agrees(cli, here, monkeypatch, answer, code):
    monkeypatch.setattr("hecc.cli.client.keygen.LARGE", 30_000_000)
    monkeypatch.setattr("hecc.cli.client.keygen._is_terminal", lambda: True)
    result = cli.invoke("keygen", "plan.client.bin", "--keys", "new", input=answer)
    assert re.search(r"The keys will take up to [\d.]+ MB\. Make them\?", result.stderr)
    assert result.exit_code == code
    assert Path("new").exists() == (code == 0)


def test_the_size_of_keys_is_that_of_their_files(here):
    # Of few large primes, which leave little to compress.
    plan = hecc.compile("model.onnx", calibration="calibration.npy", precision=10)
    assert min(plan.header.keys.data_primes) > 1 << 29
    for device in ("native", "seal"):
        client = hecc.Client(plan)
        made = client.keygen(f"{device} keys", device=device)
        size = sum(file.stat().st_size for file in made.secret.parent.iterdir())
        least = {"native": 0.99, "seal": 0.7}[device]  # SEAL's are compressed
        assert least * client.key_bytes(device=device) < size <= client.key_bytes(device=device) + 40_000
