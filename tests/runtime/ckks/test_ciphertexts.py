"""Encrypted inputs and results: what they are bound to, and what happens to those of somebody else.

The streams are no real ciphertexts here; those are in ``client/test_client.py``.
"""

import msgspec
import pytest

from hecc.runtime.ckks.ciphertexts import CiphertextFile, CiphertextHeader, Group, ResultFile, groups
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, EvaluationKeyHeader
from hecc.runtime.errors import FileFormatError, KeyMismatchError
from hecc.runtime.files.container import ContainerWriter, Kind

KEY_ID = "0123456789abcdef" * 4
OTHER_ID = "f" * 64


@pytest.fixture
def request_file(insecure_plan):
    streams = {"x": [[b"row 0"], [b"row 1"], [b"row 2"]]}
    keys = insecure_plan.header.keys.fingerprint
    return CiphertextFile.build(insecure_plan, keys=keys, key_id=KEY_ID, streams=streams)


@pytest.fixture
def result_file(insecure_plan, request_file):
    return ResultFile.build(insecure_plan, request_file, {"y": [[b"a"], [b"b"], [b"c"]]})


def evaluation(path, spec, key_id=KEY_ID):
    header = EvaluationKeyHeader(key_id=key_id, keys=spec, shape="seal")
    EvaluationKeyFile.write(path, header, relinearization=lambda: b"r", galois=lambda element: b"g")
    return EvaluationKeyFile(path)


@pytest.mark.parametrize("where", ["request_file", "result_file"])
def test_rows_are_read_back(tmp_path, request, where):
    made = request.getfixturevalue(where)
    made.save(tmp_path / "f")
    loaded = type(made).load(tmp_path / "f")
    (group,) = made.header.groups
    assert loaded.header == made.header
    assert loaded.header.rows == 3
    assert loaded.path == tmp_path / "f"
    assert made.path is None
    for row in range(3):
        assert [bytes(s) for s in loaded.row(group.name, row)] == list(made.row(group.name, row))
    loaded.save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "f").read_bytes()


def test_bindings_are_in_the_headers(insecure_plan, request_file, result_file):
    assert request_file.header.inputs == insecure_plan.input_fingerprint
    assert result_file.header.plan == insecure_plan.fingerprint
    for header in (request_file.header, result_file.header):
        assert (header.key_id, header.keys) == (KEY_ID, insecure_plan.header.keys.fingerprint)


def test_what_belongs_together_passes(tmp_path, insecure_plan, request_file, result_file):
    request_file.check(insecure_plan, evaluation(tmp_path / "e", insecure_plan.header.keys))
    result_file.check(insecure_plan, KEY_ID)


def test_a_retrained_plan_takes_the_same_ciphertexts_but_its_results_are_its_own(
    tmp_path, plans, insecure_plan, request_file, result_file
):
    retrained = plans.square(insecure_plan.header.keys, model="1" * 64)
    request_file.check(retrained, evaluation(tmp_path / "e", insecure_plan.header.keys))
    with pytest.raises(KeyMismatchError, match="the result of another plan; decrypt it with that plan's file"):
        result_file.check(retrained, KEY_ID)


def test_ciphertexts_of_another_key_set_are_a_sentence(tmp_path, insecure_plan, request_file):
    keys = evaluation(tmp_path / "e", insecure_plan.header.keys, OTHER_ID)
    with pytest.raises(
        KeyMismatchError, match=r"encrypted under key set 01234567, but .*e is of key set ffffffff; use"
    ):
        request_file.check(insecure_plan, keys)


def test_results_of_another_key_set_are_a_sentence(insecure_plan, result_file):
    with pytest.raises(
        KeyMismatchError, match="key set 01234567, but the secret key is of key set ffffffff; use the se"
    ):
        result_file.check(insecure_plan, OTHER_ID)


def test_ciphertexts_for_another_plan_are_a_sentence(tmp_path, insecure_plan, secure_plan, request_file):
    header = insecure_plan.header
    inputs = (msgspec.structs.replace(header.inputs[0], high=2.0),)
    other = type(insecure_plan)(msgspec.structs.replace(header, inputs=inputs))
    with pytest.raises(KeyMismatchError, match="encrypted for another plan; encrypt again with this plan"):
        request_file.check(other, evaluation(tmp_path / "e", header.keys))


def test_keys_that_do_not_serve_the_plan_are_a_sentence(tmp_path, insecure_plan):
    lacking = msgspec.structs.replace(insecure_plan.header.keys, galois=())
    streams = {"x": [[b""]]}
    made = CiphertextFile.build(insecure_plan, keys=lacking.fingerprint, key_id=KEY_ID, streams=streams)
    with pytest.raises(
        KeyMismatchError, match="another plan, and lack 1 rotation key that this one needs; make keys for this plan"
    ):
        made.check(insecure_plan, evaluation(tmp_path / "e", lacking))


def test_one_kind_for_the_other_is_a_sentence(tmp_path, request_file, result_file):
    request_file.save(tmp_path / "x")
    result_file.save(tmp_path / "y")
    with pytest.raises(FileFormatError, match="this is a ciphertext file; expected a result file"):
        ResultFile.load(tmp_path / "x")
    with pytest.raises(FileFormatError, match="this is a result file; expected a ciphertext file"):
        CiphertextFile.load(tmp_path / "y")


def header_of(plan, **changes):
    fields = {
        "inputs": plan.input_fingerprint,
        "keys": plan.header.keys.fingerprint,
        "key_id": KEY_ID,
        "rows": 1,
        "groups": groups(plan.header.inputs),
    }
    return CiphertextHeader(**(fields | changes))


def forge(path, header, names):
    with ContainerWriter(path, Kind.CIPHERTEXT, msgspec.Raw(msgspec.json.encode(header))) as writer:
        for name in names:
            writer.add(name, b"stream")
    return path


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rows": 0}, r"at `\$.rows`"),
        ({"rows": 1 << 40}, r"at `\$.rows`"),
        ({"key_id": ""}, r"at `\$.key_id`"),
        ({"inputs": "0" * 63}, r"at `\$.inputs`"),
        ({"keys": 7}, r"at `\$.keys`"),
        ({"groups": ()}, r"at `\$.groups`"),
        ({"groups": (Group(name="x", count=0, limbs=1),)}, r"count"),
        ({"groups": (Group(name="x", count=1, limbs=65),)}, r"limbs"),
    ],
)
def test_a_malformed_header_is_named(tmp_path, insecure_plan, changes, problem):
    with pytest.raises(FileFormatError, match=problem):
        CiphertextFile.load(forge(tmp_path / "f", header_of(insecure_plan, **changes), ["0/0/0"]))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, []),
        ({}, ["0/0/1"]),
        ({}, ["0/0/0", "0/1/0"]),
        ({"rows": 2}, ["0/1/0", "0/0/0"]),
        ({"rows": 1 << 24}, ["0/0/0"]),
        ({"groups": (Group(name="x", count=1, limbs=3),) * 2}, ["0/0/0", "1/0/0"]),
    ],
)
def test_ciphertexts_that_are_not_those_of_the_header_are_refused(tmp_path, insecure_plan, changes, names):
    with pytest.raises(FileFormatError, match="the ciphertexts in the file are not those of its header; make it again"):
        CiphertextFile.load(forge(tmp_path / "f", header_of(insecure_plan, **changes), names))


@pytest.mark.parametrize("group", [{"name": "z"}, {"count": 2}, {"limbs": 2}])
def test_other_names_counts_or_limbs_than_the_plans_are_refused(tmp_path, insecure_plan, group):
    forged = Group(**({"name": "x", "count": 1, "limbs": 3} | group))
    names = [f"0/0/{index}" for index in range(forged.count)]
    loaded = CiphertextFile.load(forge(tmp_path / "f", header_of(insecure_plan, groups=(forged,)), names))
    with pytest.raises(
        FileFormatError, match="names, counts, limbs or batches are not those of the plan; make the file again"
    ):
        loaded.check(insecure_plan, evaluation(tmp_path / "e", insecure_plan.header.keys))


def test_a_ciphertext_longer_than_its_residues_is_refused(insecure_plan, request_file):
    streams = {"y": [[b""], [bytes(2 * 1024 * 8 + 5000)], [b""]]}
    with pytest.raises(FileFormatError, match="a ciphertext of 'y' is too long"):
        ResultFile.build(insecure_plan, request_file, streams).check(insecure_plan, KEY_ID)


def test_an_altered_ciphertext_is_named_when_it_is_touched(tmp_path, request_file):
    request_file.save(tmp_path / "f")
    (tmp_path / "f").write_bytes((tmp_path / "f").read_bytes().replace(b"row 1", b"rox 1"))
    loaded = CiphertextFile.load(tmp_path / "f")
    list(loaded.row("x", 0))
    with pytest.raises(FileFormatError, match="blob '0/1/0' was altered"):
        list(loaded.row("x", 1))


def test_the_builder_refuses_other_rows_or_counts(insecure_plan, request_file):
    with pytest.raises(ValueError, match="2 batches of results for 3 batches of inputs"):
        ResultFile.build(insecure_plan, request_file, {"y": [[b""], [b""]]})
    with pytest.raises(ValueError, match="'y': expected 1 batches of 1 ciphertexts"):
        ResultFile.build(insecure_plan, request_file, {"y": [[b"", b""]]})
