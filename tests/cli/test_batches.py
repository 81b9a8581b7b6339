"""Batches on the command line: the same commands, and words that say what a batch is."""

import re

import numpy as np
import pytest

import hecc


@pytest.fixture
def batched(cli, here):
    """A folder with a plan for five rows at once, and its keys."""
    arguments = ("--calibration", "calibration.npy", "--batch", 5, "--output", "batch.bin")
    assert cli.answer("compile", "model.onnx", *arguments)["batch"] == 5
    cli.succeed("keygen", "batch.client.bin", "--keys", "batch-keys")
    return here


def test_rows_come_back_as_they_were_given(cli, batched):
    encrypted = cli.answer(
        "encrypt", "batch.client.bin", "images.npy", "--keys", "batch-keys", "--output", "request.bin"
    )
    assert (encrypted["rows"], encrypted["batches"]) == (16, 4)
    result = cli.succeed(
        "run", "batch.bin", "request.bin", "--evaluation-keys", "batch-keys/evaluation.bin", "--output", "answer.bin"
    )
    assert "16 rows in 4 batches of up to 5 in " in result.stdout
    assert re.search(
        r" s for the first batch, which makes the weights ready, then .* s each, [\d,]+ rows per hour\)", result.stdout
    )
    found = cli.answer("decrypt", "batch.client.bin", "answer.bin", "--keys", "batch-keys", "--output", "scores.npy")
    assert found["rows"] == 16
    np.testing.assert_array_equal(np.load("scores.npy").argmax(axis=1), np.load("labels.npy"))
    assert cli.answer("simulate", "batch.bin", "images.npy", "--labels", "labels.npy")["accuracy"] == 1.0
    described = cli.succeed("inspect", "request.bin").stdout
    assert "16 rows in 4 batches of up to 5" in described
    assert " limbs per batch" in described
    assert cli.answer("inspect", "answer.bin")["batches"] == 4


def test_inspect_says_what_a_batch_is(cli, batched):
    described = cli.succeed("inspect", "batch.client.bin").stdout
    assert "up to 5 rows at once, side by side in the slots" in described
    assert cli.answer("inspect", "batch.bin")["batch"] == 5
    cli.succeed("compile", "model.onnx", "--calibration", "calibration.npy", "--optimize", "throughput")
    described = cli.succeed("inspect", "plan.client.bin").stdout
    assert "rows at once, with a ciphertext for each element of the input, of which a slot holds one row" in described
    assert "32 ciphertexts of " in described


def test_a_batch_that_cannot_be_is_a_sentence(cli, here):
    assert "a batch of 0 rows" in cli.refusal("compile", "model.onnx", "--batch", 0)
    assert "a batch of 65536 rows" in cli.refusal("compile", "model.onnx", "--batch", 65536)


def test_several_processes_encrypt(cli, batched):
    arguments = ("batch.client.bin", "images.npy", "--keys", "batch-keys", "--output", "request.bin")
    assert cli.answer("encrypt", *arguments, "--processes", 2)["batches"] == 4
    cli.succeed(
        "run", "batch.bin", "request.bin", "--evaluation-keys", "batch-keys/evaluation.bin", "--output", "answer.bin"
    )
    cli.succeed("decrypt", "batch.client.bin", "answer.bin", "--keys", "batch-keys", "--output", "scores.npy")
    np.testing.assert_array_equal(np.load("scores.npy").argmax(axis=1), np.load("labels.npy"))


def test_no_processes_are_refused_in_python_as_on_the_command_line(cli, batched):
    arguments = ("batch.client.bin", "images.npy", "--keys", "batch-keys", "--processes", 0)
    assert cli.invoke("encrypt", *arguments).exit_code == 2
    client = hecc.Client("batch.client.bin", "batch-keys")
    with pytest.raises(hecc.InputError, match="0 processes cannot encrypt; give 1 or more"):
        client.encrypt(np.load("images.npy"), processes=0)
