"""The client through SEAL: at 128 bits, and where it is about rules on an insecure ring."""

import stat
import tempfile
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.ckks.circuit.parameters import GaloisElement, SecurityEvidence
from hecc.runtime.ckks.circuit.security import InsecureLevel, ntt_primes
from hecc.runtime.ckks.client.client import ALARM, Client
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.devices.seal.engine import SealEngine
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile, SecretKeyHeader
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import (
    FileFormatError,
    InputError,
    KeyMismatchError,
    OutputError,
    ParameterError,
    SecurityError,
)

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def insecure_keys(tmp_path_factory, insecure_plan):
    return Client.keygen(insecure_plan, tmp_path_factory.mktemp("insecure") / "keys", min_security=INSECURE)


@pytest.fixture(scope="module")
def secure_keys(tmp_path_factory, secure_plan):
    return Client.keygen(secure_plan, tmp_path_factory.mktemp("secure") / "keys")


@pytest.fixture(scope="module")
def client(insecure_plan, insecure_keys):
    return Client(insecure_plan, secret=SecretKeyFile.load(insecure_keys.secret), min_security=INSECURE)


@pytest.fixture(scope="module")
def encryptor(insecure_plan, insecure_keys):
    return Client(insecure_plan, public=PublicKeyFile.load(insecure_keys.public), min_security=INSECURE)


def serve(plan, keys, request):
    """What a server does."""
    source = EvaluationKeyFile(keys.evaluation)
    request.check(plan, source)
    with SealEngine(plan.require_circuit(), plan.header.keys).session(source) as session:
        rows = [session.run({"x": request.row("x", row)}) for row in range(request.header.rows)]
    return ResultFile.build(plan, request, {"y": [row["y"] for row in rows]})


def echo(plan, *, bound=2.0, error=1e-6, shape=(4, 16), layout=None):
    """A plan whose output is its input, to look at encryption and decryption alone."""
    (source,) = plan.header.inputs
    layout = layout or source.layout
    source = msgspec.structs.replace(source, shape=shape, layout=layout)
    fields = {"name": "y", "shape": shape, "layout": layout, "limbs": 3, "scale": source.scale}
    output = type(plan.header.outputs[0])(**fields, bound=bound, error=error)
    return CkksPlan(msgspec.structs.replace(plan.header, inputs=(source,), outputs=(output,)))


def echoed(client, plan, x):
    request = client.encrypt(x)
    rows = [request.row("x", row) for row in range(request.header.rows)]
    return ResultFile.build(plan, request, {"y": rows})


def test_a_plan_runs_on_encrypted_data_at_128_bits(tmp_path, plans, secure_plan, secure_keys):
    secure_plan.save(tmp_path / "plan.bin")
    secure_plan.client().save(tmp_path / "plan.client.bin")
    x = RNG.uniform(-1, 1, (3, 4, 16))
    client = Client.open(tmp_path / "plan.client.bin", secure_keys.secret.parent)
    client.encrypt(x).save(tmp_path / "encrypted.bin")
    result = serve(CkksPlan.load(tmp_path / "plan.bin"), secure_keys, CiphertextFile.load(tmp_path / "encrypted.bin"))
    result.save(tmp_path / "result.bin")
    y = client.decrypt(ResultFile.load(tmp_path / "result.bin"))["y"]
    assert y.shape == (3, 4, 16)
    assert np.abs(y - plans.expected(x)).max() < 5 * secure_plan.header.outputs[0].error


@pytest.mark.parametrize("key", ["secret", "public"])
def test_encryption_has_the_noise_it_should_have_at_128_bits(secure_plan, secure_keys, key):
    plan = echo(secure_plan)
    secret = SecretKeyFile.load(secure_keys.secret)
    public = PublicKeyFile.load(secure_keys.public)
    encryptor = Client(plan, secret=secret) if key == "secret" else Client(plan, public=public)
    x = RNG.uniform(-1, 1, (4, 4, 16))
    result = echoed(encryptor, plan, x)
    y = Client(plan, secret=secret).decrypt(result, request=result.header.request)["y"]
    # Half of the noise's energy is in the real parts. SEAL's error is a centred binomial of variance 10.5; encoding
    # rounds. With the public key all noise is divided by the special prime, and what is left is the rounding of that
    # division, in both polynomials; the second meets the secret, of weight 2N / 3.
    degree = 8192
    # The ring holds the 64 logical slots 64 times, and the client takes the mean of the copies.
    variance = 10.5 + 1 / 12 if key == "secret" else (1 + 2 * degree / 3) / 12
    assert np.std(y - x) * 2**35 == pytest.approx(np.sqrt(degree * variance / 2 / 64), rel=0.25)


def test_a_plan_runs_with_the_public_key(plans, insecure_plan, insecure_keys, client, encryptor):
    x = RNG.uniform(-1, 1, (4, 16))
    request = encryptor.encrypt(x)
    y = client.decrypt(serve(insecure_plan, insecure_keys, request), request=request.fingerprint)["y"]
    assert np.abs(y - plans.expected(x)).max() < 5 * insecure_plan.header.outputs[0].error


def test_the_secret_key_halves_the_upload(client, encryptor):
    x = RNG.uniform(-1, 1, (4, 16))
    seeded, full = (len(maker.encrypt(x).stream("x", 0, 0)) for maker in (client, encryptor))
    assert 0.45 < seeded / full < 0.55


def test_two_encryptions_of_one_input_share_nothing(client, encryptor):
    x = np.zeros((2, 4, 16))
    for maker in (client, encryptor):
        a, b = (maker.encrypt(x) for _ in range(2))
        assert len({bytes(f.stream("x", row, 0)) for f in (a, b) for row in range(2)}) == 4


def test_a_secret_key_is_ternary_and_its_files_are_private(insecure_plan, insecure_keys):
    assert stat.S_IMODE(insecure_keys.secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(insecure_keys.secret.parent.stat().st_mode) == 0o700
    residues = SecretKeyFile.load(insecure_keys.secret).residues
    primes = (*insecure_plan.header.keys.data_primes, *insecure_plan.header.keys.special_primes)
    assert all(row.max() < prime for row, prime in zip(residues, primes, strict=True))


def test_key_files_agree_on_the_key_set(insecure_plan, insecure_keys):
    spec = insecure_plan.header.keys
    for kind, path in (
        (SecretKeyFile, insecure_keys.secret),
        (PublicKeyFile, insecure_keys.public),
        (EvaluationKeyFile, insecure_keys.evaluation),
    ):
        header = kind.load(path).header
        assert (header.key_id, header.keys) == (insecure_keys.key_id, spec)


def test_integers_and_single_examples_are_taken(insecure_plan, client):
    plan = echo(insecure_plan)
    x = RNG.integers(-1, 2, (4, 16))
    for dtype in (np.int8, np.int64, np.float16, np.float32):
        maker = client_of(client, plan)
        y = maker.decrypt(echoed(maker, plan, {"x": x.astype(dtype)}))["y"]
        assert y.shape == (1, 4, 16)
        np.testing.assert_allclose(y[0], x, atol=1e-5)


def client_of(client, plan):
    """The same keys under another plan."""
    header = SecretKeyHeader(key_id=client.key_id, keys=client.plan.header.keys, protection=None)
    return Client(plan, secret=SecretKeyFile(header, client._secret), min_security=INSECURE)


@pytest.mark.parametrize("shape", [(5,), (64,), (600,)])
def test_values_repeat_over_all_slots_of_the_ring(insecure_plan, client, shape):
    layout = vector_layout(shape, 64)
    plan = echo(insecure_plan, shape=shape, layout=layout)
    maker = client_of(client, plan)
    x = RNG.uniform(-1, 1, shape)
    request = maker.encrypt(x)
    streams = request.row("x", 0)
    assert len(streams) == layout.count
    slots = maker._cipher(3).decrypt(streams[0], float(plan.header.inputs[0].scale)).real
    assert slots.shape == (512,)
    np.testing.assert_allclose(slots, np.tile(slots[:64], 8), atol=1e-5)
    np.testing.assert_allclose(slots[: min(64, len(x))], x[:64], atol=1e-5)
    np.testing.assert_allclose(maker.decrypt(echoed(maker, plan, x))["y"][0], x, atol=1e-5)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"z": np.zeros((4, 16))}, "inputs: 'z' was given; the network takes 'x'"),
        ({"a": np.zeros(1), "b": np.zeros(1)}, "inputs: 'a', 'b' were given; the network takes 'x'"),
        ({}, "inputs: nothing was given; the network takes 'x'"),
        (
            np.zeros((4, 17)),
            r"input 'x': shape \(4, 17\); give \(4, 16\) for one example, or \(rows, 4, 16\) for several",
        ),
        (np.zeros((64,)), r"input 'x': shape \(64,\)"),
        (np.zeros((0, 4, 16)), r"input 'x': shape \(0, 4, 16\)"),
        (np.zeros((4, 16), complex), "input 'x': dtype complex128; give floating-point numbers or integers"),
        (np.full((4, 16), "a"), "input 'x': dtype <U1"),
        (np.full((4, 16), True), "input 'x': dtype bool"),
        (np.full((4, 16), np.nan), "input 'x': a value in row 0 is not a number or infinite; clean the data first"),
        (np.full((4, 16), -np.inf), "input 'x': a value in row 0 is not a number or infinite"),
        (
            np.arange(64).reshape(4, 16),
            "input 'x': values from 0 to 63 are outside -1 to 1; preprocess as in training",
        ),
        (np.full((4, 16), -1.1), "values from -1.1 to -1.1 are outside -1 to 1"),
    ],
)
def test_an_input_that_the_plan_does_not_take_is_a_sentence(client, tensors, problem):
    with pytest.raises(InputError, match=problem):
        client.encrypt(tensors)


def two_inputs(plan):
    (source,) = plan.header.inputs
    inputs = (source, msgspec.structs.replace(source, name="x2"))
    return CkksPlan(msgspec.structs.replace(plan.header, inputs=inputs))


def test_several_inputs_go_by_name_and_have_equal_rows(insecure_plan, client):
    maker = client_of(client, two_inputs(insecure_plan))
    with pytest.raises(InputError, match=r"the network has 2 inputs .'x', 'x2'.; give each by its name"):
        maker.encrypt(np.zeros((4, 16)))
    with pytest.raises(InputError, match=r"inputs: different numbers of rows .'x': 1, 'x2': 2.; give as many of each"):
        maker.encrypt({"x": np.zeros((4, 16)), "x2": np.zeros((2, 4, 16))})
    made = maker.encrypt({"x2": np.zeros((2, 4, 16)), "x": np.zeros((2, 4, 16))})
    assert [group.name for group in made.header.groups] == ["x", "x2"]


# What a decryption reveals ------------------------------------------------------------------------------------------


def tampered(client, plan, values, *, scale=None):
    """A result whose slots are ``values``, complex or real, made with the client's own cipher."""
    cipher = client._cipher(plan.header.outputs[0].limbs)
    stream = cipher.encrypt(np.asarray(values), scale or float(plan.header.outputs[0].scale))
    return ResultFile.build(plan, client.encrypt(np.zeros((4, 16))), {"y": [[stream]]})


def refused(client, plan, values, problem):
    with pytest.raises(OutputError, match=f"output 'y': .*{problem}.*; the evaluation overflowed") as alarm:
        client.decrypt(tampered(client, plan, values))
    assert "do not send the decrypted values or this message" in str(alarm.value)


def test_a_value_beyond_the_bound_is_an_alarm(insecure_plan, client):
    plan = echo(insecure_plan)
    maker = client_of(client, plan)
    maker.decrypt(tampered(maker, plan, np.full(512, 1.9)))
    refused(maker, plan, np.full(512, 2.1), "values are beyond the bound of 2")


def test_copies_that_differ_are_an_alarm(insecure_plan, client):
    plan = echo(insecure_plan)
    maker = client_of(client, plan)
    slots = np.full(512, 0.5)
    slots[70] += 32 * ALARM * 1e-6
    refused(maker, plan, slots, "copies of one value differ")


def test_a_slot_that_must_be_zero_and_is_not_is_an_alarm(insecure_plan, client):
    layout = replace_period(vector_layout((4, 8), 64))
    plan = echo(insecure_plan, shape=(4, 8), layout=layout)
    maker = client_of(client, plan)
    slots = np.tile(layout.pack(np.full((4, 8), 0.5))[0], 8)
    request = maker.encrypt(np.zeros((4, 8)))
    stream = maker._cipher(3).encrypt(slots, float(plan.header.outputs[0].scale))
    maker.decrypt(ResultFile.build(plan, request, {"y": [[stream]]}))
    slots[40::64] = 2 * ALARM * 1e-6
    stream = maker._cipher(3).encrypt(slots, float(plan.header.outputs[0].scale))
    with pytest.raises(OutputError, match="slots that must be zero are not"):
        maker.decrypt(ResultFile.build(plan, request, {"y": [[stream]]}))


def replace_period(layout):
    return msgspec.structs.replace(layout, period=layout.slots)


def test_imaginary_parts_are_an_alarm(insecure_plan, client):
    plan = echo(insecure_plan)
    refused(
        client_of(client, plan), plan, np.full(512, 0.5 + 1e-3j), "imaginary parts are larger than the predicted error"
    )


def test_an_overflow_is_an_alarm(plans, insecure_plan, insecure_keys, client):
    # The scale leaves 2^5 at one limb; values of 2^8 wrap around.
    slots = RNG.uniform(-1, 1, 512) * 2**8
    plan = echo(insecure_plan)
    narrow = msgspec.structs.replace(plan.header.outputs[0], limbs=1)
    plan = CkksPlan(msgspec.structs.replace(plan.header, outputs=(narrow,)))
    maker = client_of(client, plan)
    wide = LevelCipher(plan.header.keys, 3, enforce_128=False, secret=client._secret)
    with pytest.raises(OutputError):
        maker.decrypt(ResultFile.build(plan, maker.encrypt(np.zeros((4, 16))), {"y": [[cut(wide, plan, slots)]]}))


def cut(cipher, plan, slots):
    """A ciphertext of three limbs as the server leaves it at one limb."""
    from tenseal import sealapi

    from hecc.runtime.ckks.devices.seal.streams import load_stream, make_context, save_stream

    keys = plan.header.keys
    primes = (*keys.data_primes, *keys.special_primes)
    context = make_context(keys.ring_degree, primes, expand=True, enforce_128=False)
    ciphertext = sealapi.Ciphertext()
    load_stream(ciphertext, context, cipher.encrypt(slots, float(plan.header.outputs[0].scale)))
    sealapi.Evaluator(context).mod_switch_to_inplace(ciphertext, context.last_parms_id())
    return save_stream(ciphertext)


def test_the_wrong_secret_key_is_an_alarm_even_when_the_id_was_forged(tmp_path, insecure_plan, client):
    plan = echo(insecure_plan)
    keys = generate_keys(plan.header.keys, tmp_path / "keys", min_security=INSECURE)
    other = Client(plan, secret=SecretKeyFile.load(keys.secret), min_security=INSECURE)
    result = echoed(client_of(client, plan), plan, np.zeros((4, 16)))
    with pytest.raises(KeyMismatchError, match="use the secret key of the client that encrypted the input"):
        other.decrypt(result)
    request = client_of(client, plan).encrypt(np.zeros((4, 16)))
    request.header = msgspec.structs.replace(request.header, key_id=other.key_id)
    result = ResultFile.build(plan, request, {"y": [list(request.row("x", 0))]})
    with pytest.raises(OutputError, match="imaginary parts are larger"):
        other.decrypt(result, request=result.header.request)


def test_a_result_of_another_scale_or_level_is_a_sentence(insecure_plan, client):
    plan = echo(insecure_plan)
    maker = client_of(client, plan)
    with pytest.raises(
        FileFormatError, match="a ciphertext does not have the scale of the plan; ask for the result again"
    ):
        maker.decrypt(tampered(maker, plan, np.zeros(512), scale=2.0**34))
    cipher = maker._cipher(2)
    stream = cipher.encrypt(np.zeros(512), 2.0**35)
    with pytest.raises(FileFormatError, match="a ciphertext: 2 limbs, not 3; ask for the result again"):
        maker.decrypt(ResultFile.build(plan, maker.encrypt(np.zeros((4, 16))), {"y": [[stream]]}))


def test_a_stream_of_garbage_is_a_sentence(insecure_plan, client):
    request = client.encrypt(np.zeros((4, 16)))
    # The last one ends the process when SEAL is given it: what is compressed inside of a compressed stream ends early.
    nested = bytes.fromhex(
        "5ea11004030200007c0000000000000028b52ffd604b3f1503000405da3706a72fabe865a9201ad34a0be275fde38c6ee8e4ff33c48f6382"
        "c129202801020008000500f03f01005ea110040302000022400028b52ffd00485400001000000100fbff39c002020010000100000600abff"
        "8e37203c1808600c1a9e0b9e"
    )
    for garbage in (b"", b"garbage" * 50, bytes(request.stream("x", 0, 0))[:-9], nested):
        with pytest.raises(
            FileFormatError, match=r"the encrypted result: output 'y', row 0: a ciphertext: .*; ask for the result"
        ):
            client.decrypt(ResultFile.build(insecure_plan, request, {"y": [[garbage]]}))


# Keys ---------------------------------------------------------------------------------------------------------------


def test_a_passphrase_protects_the_secret_key(tmp_path, insecure_plan):
    spec = insecure_plan.header.keys
    keys = generate_keys(spec, tmp_path / "keys", min_security=INSECURE, passphrase="correct horse")
    secret = SecretKeyFile.load(keys.secret)
    assert secret.residues is None
    assert stat.S_IMODE(keys.secret.stat().st_mode) == 0o600
    client = Client(insecure_plan, secret=secret, passphrase="correct horse", min_security=INSECURE)
    client.encrypt(np.zeros((4, 16)))
    with pytest.raises(InputError, match="the secret key is protected; give its passphrase"):
        Client(insecure_plan, secret=secret, min_security=INSECURE)
    with pytest.raises(InputError, match="the passphrase does not open this secret key"):
        Client(insecure_plan, secret=secret, passphrase="correct house", min_security=INSECURE)
    swapped = SecretKeyFile(msgspec.structs.replace(secret.header, key_id="0" * 64), sealed=secret.sealed)
    with pytest.raises(InputError, match="or the file was altered"):
        secret_residues(swapped, "correct horse")


def test_keys_are_not_overwritten(insecure_plan, insecure_keys):
    before = insecure_keys.secret.read_bytes()
    with pytest.raises(InputError, match=r"a secret key is here already, .*; choose another folder"):
        Client.keygen(insecure_plan, insecure_keys.secret.parent, min_security=INSECURE)
    assert insecure_keys.secret.read_bytes() == before


def test_an_interrupted_key_generation_leaves_nothing(tmp_path, insecure_plan):
    def interrupt(done, total):
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Client.keygen(insecure_plan, tmp_path / "keys", min_security=INSECURE, progress=interrupt)
    assert not (tmp_path / "keys").exists()


def test_insecure_parameters_make_no_keys(tmp_path, insecure_plan, secure_plan):
    with pytest.raises(SecurityError, match=r"modulus has 160.0 bits, but ring degree 1024 gives 128-bit security"):
        Client.keygen(insecure_plan, tmp_path / "keys")
    lying = SecurityEvidence(128, "classical", "ia.cr/2024/463", 214)
    spec = msgspec.structs.replace(
        secure_plan.header.keys, security=lying, data_primes=ntt_primes(49, 8192, 5), relinearization_limbs=3
    )
    with pytest.raises(SecurityError, match=r"ring degree 8192 gives 128-bit security .classical. up to 214 only"):
        generate_keys(spec, tmp_path / "keys")
    with pytest.raises(SecurityError, match="up to 147 only"):
        Client.keygen(secure_plan, tmp_path / "keys", min_security=192)
    with pytest.raises(SecurityError, match="nothing below"):
        Client.keygen(secure_plan, tmp_path / "keys", min_security=0)
    assert not (tmp_path / "keys").exists()


def test_insecure_parameters_encrypt_nothing(insecure_plan, insecure_keys):
    with pytest.raises(SecurityError, match=r"modulus has 160.0 bits"):
        Client(insecure_plan, public=PublicKeyFile.load(insecure_keys.public))


def test_impossible_parameters_make_no_keys(tmp_path, secure_plan):
    keys = secure_plan.header.keys
    with pytest.raises(ParameterError, match="a prime occurs twice"):
        generate_keys(msgspec.structs.replace(keys, special_primes=keys.data_primes[:1]), tmp_path)
    with pytest.raises(ParameterError, match="digits of 4 limbs, of 3 data primes"):
        generate_keys(msgspec.structs.replace(keys, digit_limbs=4), tmp_path)


def test_keys_of_another_plan_are_a_sentence(secure_plan, insecure_keys):
    with pytest.raises(KeyMismatchError, match="the keys were made for another ring degree; make keys for this plan"):
        Client(secure_plan, secret=SecretKeyFile.load(insecure_keys.secret))


def test_a_plan_with_fewer_rotations_takes_the_same_keys(insecure_plan, insecure_keys):
    fewer = msgspec.structs.replace(insecure_plan.header.keys, galois=())
    more = msgspec.structs.replace(insecure_plan.header.keys, galois=(GaloisElement(3, 3), GaloisElement(9, 1)))
    for keys in (fewer, more):
        plan = replace(insecure_plan, header=msgspec.structs.replace(insecure_plan.header, keys=keys))
        Client(plan, secret=SecretKeyFile.load(insecure_keys.secret), min_security=INSECURE)


def test_no_keys_are_a_sentence(tmp_path, insecure_plan):
    insecure_plan.client().save(tmp_path / "plan")
    with pytest.raises(
        InputError, match=r"neither secret.bin nor public.bin is here; give the folder of the keys, or make some"
    ):
        Client.open(tmp_path / "plan", tmp_path, min_security=INSECURE)
    with pytest.raises(InputError, match="there is no key"):
        Client(insecure_plan, min_security=INSECURE)


def test_a_folder_without_the_secret_key_encrypts_but_does_not_decrypt(tmp_path, insecure_plan, insecure_keys):
    insecure_plan.client().save(tmp_path / "plan")
    (tmp_path / "public.bin").write_bytes(insecure_keys.public.read_bytes())
    opened = Client.open(tmp_path / "plan", tmp_path, min_security=INSECURE)
    request = opened.encrypt(np.zeros((4, 16)))
    result = ResultFile.build(insecure_plan, request, {"y": [[b""]]})
    with pytest.raises(InputError, match=r"a public key cannot decrypt; use the client's secret.bin"):
        opened.decrypt(result)


def test_an_altered_secret_key_is_noticed(tmp_path, insecure_keys):
    data = bytearray(insecure_keys.secret.read_bytes())
    data[len(data) // 2] ^= 4
    (tmp_path / "secret.bin").write_bytes(data)
    with pytest.raises(FileFormatError, match="blob 'secret' was altered"):
        SecretKeyFile.load(tmp_path / "secret.bin")


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path, insecure_plan):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot be made \(.+\); choose another folder"):
        Client.keygen(insecure_plan, tmp_path / "file" / "keys", min_security=INSECURE)


def test_the_secret_never_stays_behind_in_a_temporary_file(tmp_path, insecure_plan, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    Client.keygen(insecure_plan, tmp_path / "keys", min_security=INSECURE)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert sorted(p.name for p in (tmp_path / "keys").iterdir()) == ["evaluation.bin", "public.bin", "secret.bin"]
