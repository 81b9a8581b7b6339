"""Commands of two parties: what they say of material, and one sentence for everything that goes wrong."""

import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import hecc

DATA = resources.files("hecc") / "data"
ROWS = 5


@pytest.fixture(scope="module")
def made(tmp_path_factory, cli):
    """A plan, another one, material for the first, and certificates of two authorities."""
    folder = tmp_path_factory.mktemp("parties")
    with np.load(str(DATA / "digits.npz")) as digits:
        images, calibration = digits["images"], digits["calibration"]
    model = (DATA / "digits.onnx").read_bytes()
    plan = hecc.compile(model, calibration=calibration, scheme="sharing")
    other = hecc.compile(model, calibration=calibration, scheme="sharing", precision=9)
    for name, each in (("plan", plan), ("other", other)):
        each.save(folder / f"{name}.bin")
        each.client().save(folder / f"{name}.client.bin")
    np.save(folder / "images.npy", images[:2])
    np.save(folder / "wide.npy", np.full((1, 1, 8, 8), 7.0, np.float32))
    hecc.deal(
        folder / "plan.client.bin",
        ROWS,
        server_material=folder / "server.material",
        client_material=folder / "client.material",
    )
    hecc.authority(folder / "tls")
    hecc.authority(folder / "strangers")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of all of it, where the test works."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def address(here):
    """Of a server of the plan with its material."""
    trust = {name: f"tls/{file}" for name, file in TRUST.items()}
    with hecc.serve("plan.bin", "localhost:0", material="server.material", **trust) as service:
        yield str(service.address)


TRUST = {"certificate": "server.pem", "key": "server.key", "authority": "authority.pem"}


def test_inspect_says_what_material_is_for_and_what_is_left(here, cli, address):
    plan = hecc.Plan.load("plan.bin").fingerprint
    cli.succeed("prepare", address, "--count", 3)
    cli.succeed("query", address, "images.npy")
    for role in ("client", "server"):
        found = cli.answer("inspect", f"{role}.material")
        assert (found["role"], found["plan"], found["count"], found["left"]) == (role, plan, ROWS, ROWS - 2)
        said = cli.succeed("inspect", f"{role}.material").stdout
        assert f"{role}.material: the {role}'s material of the scheme sharing" in said
        assert f"{ROWS}, one for each row; 2 are gone, 3 are left" in said
    assert "holds no circuit" in cli.refusal("inspect", "client.material", "--circuit")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("inspect cut.material", "this is no material; make it with `hecc deal`"),
        ("inspect flipped.material", "this is no material, or damaged; make it with `hecc deal`"),
        ("inspect alone.material", "the ledger is missing"),
        ("serve client.material", "this is material of the scheme sharing, which `hecc inspect` describes"),
        ("verify alone.material", "the ledger is missing"),
        ("deal plan.client.bin", "how many blocks? give --count"),
        ("deal plan.client.bin --count 3", "perhaps in use"),
        ("deal ckks.bin --count 3", "scheme"),
        ("deal nowhere.bin --count 3", "nowhere.bin: cannot be read (No such file or directory)"),
        ("prepare ADDRESS --material nowhere.material", "nowhere.material: cannot be read (No such file or directory)"),
        ("prepare ADDRESS --material server.material", "this is the server's material; give the client's"),
        ("prepare ADDRESS --plan other.client.bin", "this material is for another plan; deal material for this one"),
        ("prepare ADDRESS --material alone.material", "the ledger is missing"),
        ("prepare ADDRESS --count 9", "9 blocks to prepare, and 5 of the batch are not prepared"),
        ("prepare localhost:9", "no server there that can be trusted"),
        ("prepare localhost", "HOST:PORT"),
        ("prepare ADDRESS --authority strangers/authority.pem", "no server there that can be trusted"),
        (
            "prepare ADDRESS --certificate strangers/client.pem --key strangers/client.key",
            "certificate",
        ),
        ("prepare ADDRESS --certificate nowhere.pem", "nowhere.pem"),
        ("prepare 192.0.2.1:7000 --insecure-plain", "loopback"),
        ("query ADDRESS images.npy", "prepare"),
        ("query ADDRESS nowhere.npy", "nowhere.npy: cannot be read"),
        ("query ADDRESS wide.npy", "values from 7 to 7 are outside 0 to 1"),
        ("query ADDRESS images.npy --output images.npy", "images.npy"),
        ("serve plan.client.bin --listen localhost:0", "server's plan"),
        ("serve other.bin --listen localhost:0", "this material is for another plan"),
        ("serve plan.bin --listen localhost:0 --material client.material", "give the server's"),
        ("serve plan.bin --listen localhost:0 --material cut2.material", "cut off"),
        ("serve plan.bin --listen 192.0.2.1:0 --insecure-plain", "loopback"),
        ("serve ckks.bin --listen localhost:0", "scheme"),
        ("authority tls", "tls"),
    ],
)
def test_what_goes_wrong_is_one_sentence(here, cli, address, words, sentence):
    material = Path("client.material").read_bytes()
    Path("cut.material").write_bytes(material[:100])
    Path("flipped.material").write_bytes(material[:60] + bytes([material[60] ^ 1]) + material[61:])
    Path("alone.material").write_bytes(material)
    Path("cut2.material").write_bytes(Path("server.material").read_bytes()[:-4096])
    shutil.copy("server.material.ledger", "cut2.material.ledger")
    if "ckks.bin" in words:
        with np.load(str(DATA / "digits.npz")) as digits:
            hecc.compile((DATA / "digits.onnx").read_bytes(), calibration=digits["calibration"]).save("ckks.bin")
    found = cli.refusal(*words.replace("ADDRESS", address).split())
    assert sentence in found, found
