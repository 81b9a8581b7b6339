"""A dealer that listens, a server and a client: three processes, each in a folder of its own."""

import contextlib
import json
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import hecc

HECC = Path(sys.executable).with_name("hecc")
DATA = resources.files("hecc") / "data"
COUNT = 12

pytestmark = pytest.mark.skipif(not HECC.exists(), reason="needs hecc as a command")


def run(folder, *arguments, code=0):
    done = subprocess.run(
        [HECC, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr
    return done


@contextlib.contextmanager
def listening(folder, *arguments):
    """A command that listens, and its address."""
    process = subprocess.Popen([HECC, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        yield line.partition(" on ")[2].partition(",")[0]
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder for each party, with a plan and its own certificate."""
    here = tmp_path_factory.mktemp("dealer")
    with np.load(str(DATA / "digits.npz")) as digits:
        arrays = {name: digits[name] for name in ("images", "labels", "calibration")}
    plan = hecc.compile((DATA / "digits.onnx").read_bytes(), calibration=arrays["calibration"], scheme="sharing")
    hecc.authority(here / "tls")
    for party in ("dealer", "server", "client"):
        (here / party / "tls").mkdir(parents=True)
        for name in ("authority.pem", f"{party}.pem", f"{party}.key"):
            shutil.copy(here / "tls" / name, here / party / "tls")
    plan.save(here / "server" / "plan.bin")
    for party in ("dealer", "client"):
        plan.client().save(here / party / "plan.client.bin")
    np.save(here / "client" / "images.npy", arrays["images"][:8])
    np.save(here / "client" / "labels.npy", arrays["labels"][:8])
    return here


@pytest.fixture
def here(made, tmp_path):
    shutil.copytree(made, tmp_path / "parties")
    return tmp_path / "parties"


def test_parties_fetch_their_halves_and_go_on_with_the_next_batch(here):
    client = here / "client"
    labels = np.load(client / "labels.npy").tolist()
    with listening(here / "dealer", "deal", "plan.client.bin", "--count", COUNT, "--listen", "localhost:0") as dealer:
        for _ in range(2):
            # What is left of a batch has to be used up before another one is fetched.
            with listening(
                here / "server", "serve", "plan.bin", "--listen", "localhost:0", "--dealer", dealer
            ) as server:
                for rows in (8, 4):
                    np.save(client / "rows.npy", np.load(client / "images.npy")[:rows])
                    asked = ("query", server, "rows.npy", "--dealer", dealer, "--json")
                    answer = json.loads(run(client, *asked).stdout)
                    assert answer["predictions"]["logits"] == labels[:rows]
    assert not list((here / "dealer").glob("*.material*"))
    secrets = [(here / party / f"{party}.material").read_bytes() for party in ("server", "client")]
    assert secrets[0][4096:] not in secrets[1]


def test_who_gets_which_half_is_decided_by_the_name_on_the_certificate(here):
    client, server = here / "client", here / "server"
    with listening(here / "dealer", "deal", "plan.client.bin", "--count", 3, "--listen", "localhost:0") as dealer:
        shutil.copy(server / "plan.bin", client / "plan.bin")
        # A client that poses as the server of its own plan.
        own = ("--certificate", "tls/client.pem", "--key", "tls/client.key", "--dealer", dealer)
        refused = run(client, "serve", "plan.bin", "--listen", "localhost:0", *own, code=1).stderr
        assert "the dealer gives no material: this side's certificate does not have the name" in refused
        assert not (client / "server.material").exists()
        for name in ("plan.client.bin", "images.npy"):
            shutil.copy(client / name, server / name)
        own = ("--certificate", "tls/server.pem", "--key", "tls/server.key", "--dealer", dealer)
        assert "does not have the name" in run(server, "prepare", "localhost:9", *own, code=1).stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--server", "client"), "both parties are called 'client'"),
        (("--certificate", "tls/nowhere.pem"), "nowhere.pem"),
        (("--insecure-plain", "--listen", "192.0.2.1:0"), "loopback"),
    ],
)
def test_what_a_dealer_cannot_do_is_one_sentence(here, change, words):
    given = ("deal", "plan.client.bin", "--listen", "localhost:0", *change)
    assert words in run(here / "dealer", *given, code=1).stderr


def test_without_files_or_an_address_there_is_nothing_to_do(here):
    assert "how many blocks? give --count" in run(here / "dealer", "deal", "plan.client.bin", code=1).stderr


def test_without_a_dealer_there_is_a_sentence(here):
    assert "no server there" in run(here / "client", "prepare", "localhost:9", "--dealer", "localhost:9", code=1).stderr
