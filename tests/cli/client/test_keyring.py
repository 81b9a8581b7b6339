"""Passphrases in the system's keyring: made, stored and found by the id of the keys; never kept in plain sight."""

import sys

import numpy as np
import pytest

import hecc
from hecc.passphrases import SERVICE
from hecc.runtime.ckks.keys.keyfiles import SecretKeyFile
from hecc.runtime.errors import InputError

keyring = pytest.importorskip("keyring", reason="the extra keyring is not installed")
null = pytest.importorskip("keyring.backends.null")


class Memory(keyring.backend.KeyringBackend):
    """A keyring as systems have them, that forgets with this process."""

    priority = -1  # so that keyring never chooses it by itself

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


class Locked(Memory):
    """One that its owner has not opened."""

    def get_password(self, service, username):
        raise keyring.errors.KeyringLocked("Failed to unlock the collection!")


class Forgetful(Memory):
    """One that loses what it is given."""

    def set_password(self, service, username, password):
        pass


class Once(Memory):
    """One that takes the first, and nothing after it."""

    def set_password(self, service, username, password):
        if self.kept:
            raise keyring.errors.PasswordSetError("full")
        super().set_password(service, username, password)


@pytest.fixture
def use():
    """Makes a keyring the system's."""
    before = keyring.get_keyring()

    def choose(ring):
        keyring.set_keyring(ring)
        return ring

    yield choose
    keyring.set_keyring(before)


def test_keys_open_with_the_keyring_alone(cli, here, use):
    ring = use(Memory())
    made = cli.answer("keygen", "plan.client.bin", "--keys", "new", "--keyring")
    assert (made["protected"], made["keyring"]) == (True, True)
    # The file is encrypted as with any passphrase, and the keyring has nothing but that passphrase.
    assert SecretKeyFile.load(here / "new" / "secret.bin").header.protection is not None
    (((service, name), passphrase),) = ring.kept.items()
    assert (service, name) == (SERVICE, made["key_id"])
    assert len(passphrase) >= 43
    (here / "new").rename(here / "moved")
    cli.succeed("encrypt", "plan.client.bin", "three.npy", "--keys", "moved", "--keyring")
    cli.succeed("run", "plan.bin", "encrypted.bin", "--evaluation-keys", "moved/evaluation.bin")
    cli.succeed("decrypt", "plan.client.bin", "result.bin", "--keys", "moved", "--keyring")
    assert np.load("output.npy").shape == (3, 10)
    cli.succeed("verify", "moved/secret.bin", "moved/public.bin", "--keyring")
    cli.succeed("evaluate", "plan.bin", "--inputs", "three.npy", "--keys", "moved", "--keyring", "--rows", 1)
    # Without it the passphrase is asked for as ever, and it is the one that the keyring has.
    assert "there is no terminal to ask" in cli.refusal("decrypt", "plan.client.bin", "result.bin", "--keys", "moved")
    given = cli.invoke(
        "decrypt", "plan.client.bin", "result.bin", "--keys", "moved", "--force", input=f"{passphrase}\n"
    )
    assert given.exit_code == 0, given.output


def test_python_does_the_same_and_a_given_passphrase_is_kept(here, use):
    ring = use(Memory())
    keys = hecc.Client("plan.client.bin").keygen("new", passphrase="correct horse", keyring=True)
    assert ring.kept == {(SERVICE, keys.key_id): "correct horse"}
    assert hecc.Client("plan.client.bin", "new", keyring=True).key_id == keys.key_id
    assert hecc.Client("plan.client.bin", keys.secret.read_bytes(), keyring=True).key_id == keys.key_id
    assert hecc.verify([keys.secret, keys.public], keyring=True).proved == (keys.public,)
    with pytest.raises(InputError, match="a passphrase, and the keyring that is to have it; give one of them"):
        hecc.Client("plan.client.bin", "new", passphrase="correct horse", keyring=True)
    # The public key needs no passphrase.
    ring.kept.clear()
    assert hecc.Client("plan.client.bin", "new", public=True, keyring=True).key_id == keys.key_id
    with pytest.raises(InputError, match=f"the keyring has no passphrase for the key set {keys.key_id[:8]}; leave"):
        hecc.Client("plan.client.bin", "new", keyring=True)


@pytest.mark.parametrize(
    ("ring", "sentence"),
    [
        (keyring.backends.fail.Keyring, "this system has no keyring that keeps secrets (only keyring.backends.fail."),
        (null.Keyring, "this system has no keyring that keeps secrets (only keyring.backends.null."),
        (Locked, "refused (Failed to unlock the collection!); unlock it, or leave --keyring out"),
        (Forgetful, "does not keep what it is given; leave --keyring out (in Python keyring), and type a passphrase"),
    ],
)
def test_where_nothing_keeps_secrets_no_keys_are_made(cli, here, use, ring, sentence):
    use(ring())
    assert sentence in cli.refusal("keygen", "plan.client.bin", "--keys", "new", "--keyring")
    assert not (here / "new").exists()


def test_a_keyring_in_plain_files_is_refused_also_behind_another(cli, here, use):
    plain = type("PlaintextKeyring", (Memory,), {"__module__": "keyrings.alt.file"})()
    sentence = (
        "this system has no keyring that keeps secrets (only keyrings.alt.file.PlaintextKeyring); leave --keyring"
    )
    several = Memory()
    several.backends = [Memory(), plain]
    for ring in (plain, several):
        use(ring)
        assert cli.refusal("keygen", "plan.client.bin", "--keys", "new", "--keyring").startswith(sentence)
        assert plain.kept == {}
    assert not (here / "new").exists()


def test_keys_that_are_not_made_leave_nothing(cli, here, use):
    ring = use(Memory())
    assert "a secret key is here already" in cli.refusal("keygen", "plan.client.bin", "--keyring")
    assert ring.kept == {}


def test_a_passphrase_is_never_lost(here, use):
    ring = use(Once())
    with pytest.raises(InputError, match=r"the keys are made, but .* `keyring get hecc 'keys that are being made in "):
        hecc.Client("plan.client.bin").keygen("new", keyring=True)
    ((_, passphrase),) = ring.kept.items()
    assert hecc.Client("plan.client.bin", "new", passphrase=passphrase).key_id


def test_without_the_extra_it_is_a_sentence(cli, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    sentence = "keyring is not installed, and needed for passphrases in the system's keyring; run `pip install 'hecc["
    for command in (["keygen", "plan.client.bin", "--keys", "new"], ["decrypt", "plan.client.bin", "result.bin"]):
        assert cli.refusal(*command, "--keyring") == f"{sentence}keyring]'`"
