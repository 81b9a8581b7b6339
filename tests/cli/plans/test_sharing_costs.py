"""What commands and Python say of the costs of plans of sharing, and of who learns what."""

import re
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import hecc
from hecc.compiler.sharing.prediction.links import LINKS
from hecc.runtime.errors import InputError

DATA = resources.files("hecc") / "data"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Plans that reveal scores and a label, with inputs."""
    folder = tmp_path_factory.mktemp("costs")
    with np.load(str(DATA / "digits.npz")) as digits:
        for name in ("images", "labels", "calibration"):
            np.save(folder / f"{name}.npy", digits[name])
    model = (DATA / "digits.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(model)
    for name, reveal in (("plan", "scores"), ("label", "label")):
        plan = hecc.compile(model, calibration=folder / "calibration.npy", scheme="sharing", reveal=reveal)
        plan.save(folder / f"{name}.bin")
        plan.client().save(folder / f"{name}.client.bin")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def failed(cli, *files):
    """What `hecc verify` says of files that are not as they should be."""
    result = cli.invoke("verify", *files)
    assert result.exit_code == 1, result.output
    return result.output


def test_an_estimate_adds_up_to_what_really_passes(here, cli):
    found = cli.answer("estimate", "model.onnx", "--scheme", "sharing", "--calibration", "calibration.npy")
    layers = found["layers"]
    for name in ("messages", "client_bytes", "server_bytes", "dealt_bytes", "prepared_bytes"):
        assert sum(layer[name] for layer in layers) == found[name]
    assert sum(layer["share"] for layer in layers) == pytest.approx(1)
    assert [layer["layer"] for layer in layers if layer["prepared_bytes"]] == [
        "Conv '/0/Conv'",
        "Gemm '/3/Gemm'",
        "Gemm '/5/Gemm'",
    ]
    for link in LINKS:
        alone = found["client_seconds"] + found["server_seconds"]
        waiting = (found["messages"] / 2 + 1) * link.round_trip
        sending = (found["client_bytes"] + found["server_bytes"]) / link.rate
        assert found["query_seconds"][link.name] == pytest.approx(alone + waiting + sending, rel=0.01)
    traffic = _queried("plan.bin", "images.npy")
    rows = len(np.load("images.npy"))
    # The lengths of messages, of a hello and its answer, which are not payload.
    around = {"sent": 68 + 4 * 4, "received": 9 + 4 * 4}
    assert traffic.sent == pytest.approx(rows * found["client_bytes"] + around["sent"], abs=64)
    assert traffic.received == pytest.approx(rows * found["server_bytes"] + around["received"], abs=64)


def _queried(plan, inputs):
    """What goes over the network in a query."""
    hecc.deal(plan, len(np.load(inputs)))
    with hecc.serve(plan, "localhost:0", insecure_plain=True) as service:
        hecc.prepare(str(service.address), plan=plan, insecure_plain=True)
        return hecc.query(str(service.address), inputs, plan=plan, insecure_plain=True).traffic


def test_both_files_of_a_plan_say_what_it_reveals_and_what_layers_take(here, cli):
    for file in ("plan.bin", "plan.client.bin"):
        found = cli.answer("inspect", file)
        assert found["reveals"] == "scores"
        assert [layer["layer"] for layer in found["layers"]][1] == "Conv '/0/Conv'"
    found = cli.answer("inspect", "label.client.bin")
    assert found["reveals"] == "label"
    assert "which number of an output is the largest, and nothing else" in cli.succeed("inspect", "label.bin").stdout
    assert found["messages"] == cli.answer("inspect", "plan.bin")["messages"] + 8


@pytest.mark.parametrize("file", ["plan.bin", "plan.client.bin"])
def test_a_report_says_who_learns_what_and_how_long_a_query_takes(here, cli, file):
    pytest.importorskip("matplotlib")
    cli.succeed("report", file)
    page = Path("report.html").read_text(encoding="utf-8")
    assert "that so many rows were evaluated, and when" in page
    assert "1 Gbit/s, 1 ms there and back" in page
    assert "100 Mbit/s, 40 ms there and back" in page
    assert re.search(r"hecc deal plan\.client\.bin --count", page)
    assert "hecc serve plan.bin" in page
    assert "Gemm &#39;/3/Gemm&#39;" in page
    with pytest.raises(InputError, match="hecc evaluate"):
        hecc.report(file, "images.npy")


def test_two_parties_evaluate_a_test_set(here, cli):
    found = cli.answer(
        "evaluate", "plan.bin", "--inputs", "images.npy", "--labels", "labels.npy", "--model", "model.onnx",
        "--encrypted", "--rows", 5,
    )  # fmt: skip
    assert found["shared"]["rows"] == 5
    assert found["shared"]["accuracy"] == 1
    assert 0 < found["shared"]["largest_error"] < 0.002
    assert "two parties" in cli.succeed(
        "evaluate", "label.bin", "--inputs", "images.npy", "--labels", "labels.npy", "--encrypted"
    ).stdout  # fmt: skip
    assert "have no keys" in cli.refusal("evaluate", "plan.bin", "--inputs", "images.npy", "--keys", "keys")


def test_material_is_verified_block_by_block_and_held_against_plans(here, cli):
    hecc.deal("plan.bin", 3)
    hecc.deal("plan.bin", 2, server_material="s2", client_material="c2")
    both = ("server.material", "client.material")
    found = cli.answer("verify", "plan.bin", "plan.client.bin", *both)
    assert [file["kind"] for file in found["files"]] == ["server_plan", "client_plan", "material", "material"]
    assert len({file["plan"] for file in found["files"]}) == 1
    assert "server.material: the server's material, with 3 of 3 blocks left" in cli.succeed("verify", *both).stdout
    for files, words in (
        (("label.bin", "client.material"), "the material is for another plan"),
        (("server.material", "c2"), "they are of two batches"),
        (("server.material", "server.copy"), "both are the server's material of one batch"),
    ):
        shutil.copy("server.material", "server.copy")
        shutil.copy("server.material.ledger", "server.copy.ledger")
        assert words in failed(cli, *files)


def test_material_that_is_damaged_or_has_an_older_ledger_is_not_whole(here, cli):
    hecc.deal("plan.bin", 3)
    whole = Path("server.material").read_bytes()
    ledgers = {each: Path(each).read_bytes() for each in ("server.material.ledger", "client.material.ledger")}
    Path("server.material").write_bytes(whole[:-5000] + bytes([whole[-5000] ^ 1]) + whole[-4999:])
    assert "block 2 is gone, or damaged" in failed(cli, "server.material")
    Path("server.material").write_bytes(whole)
    with hecc.serve("plan.bin", "localhost:0", insecure_plain=True) as service:
        hecc.prepare(str(service.address), plan="plan.bin", insecure_plain=True)
        hecc.query(str(service.address), np.load("images.npy")[:1], plan="plan.bin", insecure_plain=True)
    assert cli.answer("verify", "server.material", "client.material")["ok"]
    for ledger, before in ledgers.items():
        Path(ledger).write_bytes(before)
    assert "block 0 is gone" in failed(cli, "server.material")
    assert "the seeds of blocks before 1 are gone" in failed(cli, "client.material")


@pytest.mark.slow
def test_both_parties_are_measured_in_processes_of_their_own(here, cli):
    found = cli.answer("bench", "plan.bin", "--runs", 2)
    assert len(found["samples"]) == 2
    assert found["seconds_per_row_together"] < found["seconds_per_row"]
    assert set(found["computing_seconds"]) == set(found["predicted_seconds"])
    assert 20 << 20 < found["client_peak_memory_bytes"] < 1 << 30
    assert "--device is for plans of the scheme ckks" in cli.refusal("bench", "plan.bin", "--device", "seal")
