"""`hecc decrypt` takes the result of the last request, or of the one that is named; others stop."""

import shutil
from pathlib import Path

import numpy as np


def test_an_older_result_is_not_taken_for_the_new_one(cli, here):
    # The server did not answer the second request, and the result of the first one is still there.
    cli.succeed("encrypt", "plan.client.bin", "images.npy", "--output", "second.bin")
    sentence = cli.refusal("decrypt", "plan.client.bin", "result.bin")
    assert sentence.startswith("result.bin: this answers request ")
    assert "but the last one that was encrypted with these keys is " in sentence
    assert "16 rows at " in sentence
    assert "name the request that it has to answer with --request" in sentence
    assert not Path("output.npy").exists()
    cli.succeed("decrypt", "plan.client.bin", "result.bin", "--request", "encrypted.bin")
    assert np.load("output.npy").argmax(axis=1).tolist() == [0, 1, 2]
    assert "ask the server for the result of the request that you mean" in cli.refusal(
        "decrypt", "plan.client.bin", "result.bin", "--request", "second.bin"
    )
    cli.succeed("run", "plan.bin", "second.bin", "--output", "second-result.bin")
    assert cli.answer("decrypt", "plan.client.bin", "second-result.bin", "--output", "new.npy")["rows"] == 16


def test_a_request_is_named_by_its_fingerprint_too(cli, here):
    made = cli.answer("encrypt", "plan.client.bin", "three.npy", "--output", "second.bin")["request"]
    first = cli.answer("inspect", "encrypted.bin")["request"]
    assert cli.answer("inspect", "result.bin")["request"] == first != made
    cli.succeed("decrypt", "plan.client.bin", "result.bin", "--request", first)
    cli.succeed("decrypt", "plan.client.bin", "result.bin", "--request", first[:16])
    cli.refusal("decrypt", "plan.client.bin", "result.bin", "--request", made)
    for wrong in ("nowhere.bin", first[:15]):
        assert "neither a file of encrypted rows nor their fingerprint" in cli.refusal(
            "decrypt", "plan.client.bin", "result.bin", "--request", wrong
        )
    assert "this is a result file" in cli.refusal("decrypt", "plan.client.bin", "result.bin", "--request", "result.bin")


def test_rows_that_somebody_else_encrypted_are_named(cli, here):
    Path("department").mkdir()
    shutil.copy("keys/public.bin", "department")
    key_id = cli.answer("inspect", "keys/public.bin")["key_id"]
    command = ("encrypt", "plan.client.bin", "three.npy", "--public", "--keys", "department", "--output", "theirs.bin")
    assert f"the key has the fingerprint {key_id}, and not" in cli.refusal(*command, "--fingerprint", "0" * 64)
    assert f"the key has the fingerprint {key_id}, and not" in cli.refusal(*command, "--fingerprint", key_id[:16])
    assert not Path("theirs.bin").exists()
    text = cli.succeed(*command, "--fingerprint", key_id.upper(), "--verbose").stdout
    request = cli.answer("inspect", "theirs.bin")["request"]
    assert f"  encrypted with  the public key of set {key_id}\n  request         {request}\n" in text
    cli.succeed("run", "plan.bin", "theirs.bin", "--output", "answer.bin")
    assert "this answers request" in cli.refusal("decrypt", "plan.client.bin", "answer.bin")
    cli.succeed("decrypt", "plan.client.bin", "answer.bin", "--request", request)
    cli.succeed("decrypt", "plan.client.bin", "result.bin")


def test_an_evaluation_leaves_the_last_request_as_it_is(cli, here):
    cli.succeed(
        "evaluate", "plan.bin", "--inputs", "images.npy", "--labels", "labels.npy", "--keys", "keys", "--rows", "2"
    )
    cli.succeed("decrypt", "plan.client.bin", "result.bin")
