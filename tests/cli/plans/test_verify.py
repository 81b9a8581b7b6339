"""`hecc verify`: what a file is, whether it is whole, and which of several do not belong together."""

import json
from pathlib import Path

import msgspec
import pytest

import hecc
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyHeader, PublicKeyHeader
from hecc.runtime.files.container import Container, ContainerWriter, Kind

ALL = (
    "plan.bin",
    "plan.client.bin",
    "keys/secret.bin",
    "keys/public.bin",
    "keys/evaluation.bin",
    "encrypted.bin",
    "result.bin",
)


def test_files_of_one_plan_and_one_key_set_belong_together(cli, here):
    text = cli.succeed("verify", *ALL).stdout
    assert text.endswith("all of them belong together\n")
    key_id = cli.answer("inspect", "keys/secret.bin")["key_id"]
    found = cli.answer("verify", *ALL)
    assert found["ok"]
    assert [file["file"] for file in found["files"]] == list(ALL)
    assert {file["key_id"] for file in found["files"][2:]} == {key_id}
    fingerprint = cli.answer("inspect", "plan.bin")["fingerprint"]
    assert {file["plan"] for file in found["files"]} == {fingerprint, None}
    assert (
        f"keys/secret.bin: a secret key file, {Path('keys/secret.bin').stat().st_size / 1000:.3g} kB, whole; " in text
    )


@pytest.mark.parametrize(
    ("file", "reasons"),
    [
        (
            "plan.bin",
            {
                "the keys were made for another plan, with N = ",
                "the keys were made for another plan, with other primes",
            },
        ),
        ("encrypted.bin", {"the rows were encrypted for another plan", "one is of key set"}),
        ("result.bin", {"it is the result of another plan", "one is of key set"}),
        ("keys/evaluation.bin", {"the keys were made for another", "one is of key set"}),
        ("keys/secret.bin", {"the keys were made for another", "one is of key set"}),
    ],
)
def test_the_odd_one_is_named(cli, here, other, file, reasons):
    files = [other / name if name == file else Path(name) for name in ALL if name != "plan.client.bin"]
    result = cli.invoke("verify", *files)
    assert result.exit_code == 1
    assert (
        f"error: {other / file} does not belong to the others; give files of one plan and one key set" in result.stderr
    )
    assert any(reason in result.stdout for reason in reasons)
    found = json.loads(cli.invoke("verify", *files, "--json").stdout)
    assert not found["ok"]
    assert found["odd"] == [str(other / file)]
    assert all(str(other / file) in conflict["files"] for conflict in found["conflicts"])


def test_of_two_that_do_not_fit_both_are_named(cli, here, other):
    result = cli.invoke("verify", "keys/public.bin", other / "keys" / "public.bin")
    assert result.exit_code == 1
    assert f"keys/public.bin, {other / 'keys' / 'public.bin'} do not belong together" in result.stderr


def test_a_result_of_other_rows_is_noticed(cli, here):
    cli.succeed("encrypt", "plan.client.bin", "images.npy")
    result = cli.invoke("verify", "encrypted.bin", "result.bin")
    assert result.exit_code == 1
    assert "16 rows were encrypted, and the result has 3" in result.stdout


@pytest.mark.parametrize("name", [name for name in ALL if name != "keys/evaluation.bin"])
def test_a_flipped_bit_anywhere_is_noticed(cli, here, name):
    path = Path(name)
    whole = path.read_bytes()
    for place in (20, len(whole) // 3, len(whole) - 5):
        altered = bytearray(whole)
        altered[place] ^= 1
        path.write_bytes(altered)
        sentence = cli.refusal("verify", name)
        assert sentence.startswith(f"{name}: ")


def test_the_others_are_still_described_when_one_is_damaged(cli, here):
    Path("encrypted.bin").write_bytes(Path("encrypted.bin").read_bytes()[:-1])
    result = cli.invoke("verify", "encrypted.bin", "result.bin", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert "truncated" in found["files"][0]["fault"]
    assert found["files"][1]["fault"] is None
    assert found["odd"] == []
    assert "result.bin: a result file, " in result.stderr


def test_a_residue_that_no_checksum_protects_is_noticed(here, monkeypatch):
    # What is checked beyond checksums: a key whose file is whole can hold residues that are none.
    def refuse(*arguments, where, **options):
        raise hecc.FileFormatError(f"{where} has residues that are not below their prime; make new keys")

    monkeypatch.setattr("hecc.runtime.ckks.keys.keyfiles.check_reduced", refuse)
    found = hecc.verify("keys/evaluation.bin")
    assert "residues that are not below their prime" in found.files[0].fault


def test_a_file_given_twice_is_refused(cli, here):
    assert cli.refusal("verify", "plan.bin", "plan.bin") == "no files, or one of them twice; give each file once"


def forged(source: Path, kind: Kind, key_id: str) -> None:
    """Put the id of another set on a key file; checksums stay right."""
    container = Container(source, kind)
    header = container.header(PublicKeyHeader if kind is Kind.PUBLIC_KEY else EvaluationKeyHeader)
    blobs = {
        name: bytes(container.bytes(name)) if kind is Kind.PUBLIC_KEY else container.array(name) for name in container
    }
    with ContainerWriter(source, kind, msgspec.structs.replace(header, key_id=key_id)) as writer:
        for name, blob in blobs.items():
            writer.add(name, blob)


@pytest.fixture
def stranger(cli, here) -> Path:
    """The folder of somebody else's keys, which bear the id of ours."""
    key_id = cli.answer("keygen", "plan.client.bin", "--keys", "stranger")["key_id"]
    ours = cli.answer("inspect", "keys/secret.bin")["key_id"]
    assert ours != key_id
    forged(Path("stranger/public.bin"), Kind.PUBLIC_KEY, ours)
    forged(Path("stranger/evaluation.bin"), Kind.EVALUATION_KEYS, ours)
    return Path("stranger")


def test_the_secret_key_proves_the_others(cli, here):
    keys = ("keys/secret.bin", "keys/public.bin", "keys/evaluation.bin")
    text = cli.succeed("verify", *keys).stdout
    assert "the secret key proves that keys/public.bin and keys/evaluation.bin belong to it\n" in text
    assert cli.answer("verify", *keys)["proved"] == list(keys[1:])
    assert cli.answer("inspect", "keys/public.bin")["key_id"] in text
    without = cli.succeed("verify", *keys[1:]).stdout
    assert "keys/evaluation.bin is of the key set that it names; give the secret key, too, to have it proved" in without
    assert cli.answer("verify", *keys[1:])["proved"] == []


def test_a_forged_public_key_is_found_by_whoever_uses_it(cli, here, stranger):
    sentence = "stranger/public.bin: this is not the public key of set "
    assert cli.refusal("verify", "stranger/public.bin").startswith(sentence)
    assert f"error: {sentence}" in cli.invoke("verify", "keys/secret.bin", "stranger/public.bin").stderr
    assert cli.refusal("inspect", "stranger/public.bin").startswith(sentence)
    before = set(here.iterdir())
    command = ("encrypt", "plan.client.bin", "three.npy", "--public", "--keys", stranger, "--output", "new.bin")
    assert cli.refusal(*command).startswith(sentence)
    assert set(here.iterdir()) == before


def test_forged_evaluation_keys_are_found_by_the_secret_key(cli, here, stranger):
    assert cli.succeed("verify", "stranger/evaluation.bin", "keys/public.bin").exit_code == 0
    result = cli.invoke("verify", "keys/secret.bin", "keys/public.bin", "stranger/evaluation.bin")
    assert result.exit_code == 1
    assert "the relinearisation key, digit 0 does not belong to the secret key (" in result.stdout
    assert "error: keys/secret.bin, stranger/evaluation.bin do not belong together" in result.stderr


def test_a_protected_secret_key_proves_with_its_passphrase(cli, here):
    cli.invoke("keygen", "plan.client.bin", "--keys", "new", "--passphrase", input="long enough\n")
    keys = ("new/secret.bin", "new/public.bin")
    assert "the secret key proves that new/public.bin" in cli.invoke("verify", *keys, input="long enough\n").stdout
    wrong = cli.invoke("verify", *keys, input="too short\n")
    assert (wrong.exit_code, "the passphrase does not open this secret key" in wrong.stderr) == (1, True)
    # Where there is nothing to prove, nothing is asked.
    cli.succeed("verify", "new/secret.bin", "plan.bin")


def test_the_result_of_another_request_does_not_belong(cli, here):
    cli.succeed("encrypt", "plan.client.bin", "three.npy", "--output", "again.bin")
    result = cli.invoke("verify", "again.bin", "result.bin")
    assert result.exit_code == 1
    assert "the rows are request " in result.stdout
    assert cli.succeed("verify", "encrypted.bin", "result.bin").stdout.endswith("all of them belong together\n")


def test_a_minimum_of_security_holds_everywhere(cli, here):
    """The plan's modulus has 208 bits; 161 are allowed against quantum computers, and 147 for 192 bits."""
    files = ["plan.bin", "plan.client.bin", "keys/secret.bin", "keys/public.bin", "keys/evaluation.bin"]
    cli.succeed("verify", *files, "encrypted.bin", "result.bin", "--min-security", "128")
    for minimum, fault in (
        ("128-quantum", "gives 128-bit security (quantum) up to 161 only; compile again with --security 128 --quantum"),
        ("192", "gives 192-bit security (classical) up to 147 only; compile again with --security 192"),
        ("100", "a minimum of 100 bits; hecc knows 128, 192, 256 and nothing below"),
    ):
        for command in (
            ("keygen", "plan.client.bin", "--keys", "new"),
            ("encrypt", "plan.client.bin", "three.npy"),
            ("decrypt", "plan.client.bin", "result.bin"),
        ):
            assert fault in cli.refusal(*command, "--min-security", minimum)
        assert not (here / "new").exists()
        for file in files:
            result = cli.invoke("verify", file, "--min-security", minimum)
            assert result.exit_code == 1
            assert f"error: {file}: " in result.stderr
            assert fault in result.stderr


def test_a_quantum_plan_satisfies_a_quantum_minimum(cli, here):
    cli.succeed("compile", "model.onnx", "--quantum", "--calibration", "calibration.npy", "--output", "q.bin")
    cli.succeed("keygen", "q.client.bin", "--keys", "new", "--min-security", "128-quantum")
    cli.succeed("encrypt", "q.client.bin", "three.npy", "--keys", "new", "--min-security", "128-quantum")
    cli.succeed("verify", "q.bin", "new/evaluation.bin", "--min-security", "128-quantum")
