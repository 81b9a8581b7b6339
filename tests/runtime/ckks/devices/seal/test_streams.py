"""SEAL objects as bytes and back, by an anonymous file or by a private folder."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tenseal import sealapi

from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.devices.seal.streams import load_stream, make_context, save_stream
from hecc.runtime.errors import FileFormatError, ParameterError

PRIMES = ntt_primes(40, 2048, 3)


@pytest.fixture(params=["memory", "folder"])
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Both ways to a path; the folder of temporary files in either case."""
    if request.param == "folder":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_ciphertext_survives_the_journey(folder: Path, insecure_client: Any) -> None:
    stream = insecure_client.encrypt(np.arange(32.0)[None])[0]
    ciphertext = sealapi.Ciphertext()
    load_stream(ciphertext, insecure_client.context, memoryview(stream))
    again = save_stream(ciphertext)
    np.testing.assert_allclose(insecure_client.decrypt([again], 32), np.arange(32.0)[None], atol=1e-6)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("cut", [0, 16, 100, -1])
def test_damaged_streams_are_refused_and_nothing_is_left_behind(folder: Path, insecure_client: Any, cut: int) -> None:
    stream = insecure_client.encrypt(np.zeros((1, 32)))[0][:cut]
    with pytest.raises(FileFormatError, match=f"SEAL refuses a stream of {len(stream)} bytes as Ciphertext: "):
        load_stream(sealapi.Ciphertext(), insecure_client.context, stream)
    assert not list(folder.iterdir())


def test_a_stream_of_another_ring_is_refused(insecure_client: Any) -> None:
    other = make_context(2048, PRIMES, expand=True, enforce_128=False)
    stream = insecure_client.encrypt(np.zeros((1, 32)))[0]
    with pytest.raises(FileFormatError, match="ciphertext data is invalid"):
        load_stream(sealapi.Ciphertext(), other, stream)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_where_files_cannot_be_anonymous_only_the_user_can_enter_their_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[int] = []

    class Spy:
        def save(self, path: str, /) -> None:
            seen.append(stat.S_IMODE(Path(path).parent.stat().st_mode))
            Path(path).write_bytes(b"saved")

        def load(self, context: Any, path: str, /) -> None:
            raise AssertionError

    assert save_stream(Spy()) == b"saved"
    assert seen == [0o700]


@pytest.mark.parametrize(
    ("degree", "primes", "enforce_128", "says"),
    [
        (2048, PRIMES, True, "not compliant with HomomorphicEncryption"),
        (2047, PRIMES, False, "not a power of two"),
        (2048, (15, 17), False, "not congruent to 1 modulo"),
        (2048, (), False, "coeff_modulus is invalid"),
        (2048, PRIMES[:1] * 2, False, "RNSBase cannot be constructed"),
        (-1, PRIMES, False, "SEAL refuses ring degree -1 with 3 primes"),
    ],
)
def test_parameters_that_seal_refuses_are_refused_with_its_reason(
    degree: int, primes: tuple[int, ...], enforce_128: bool, says: str
) -> None:
    with pytest.raises(ParameterError, match=says):
        make_context(degree, primes, expand=True, enforce_128=enforce_128)


def test_a_context_has_every_level_only_when_asked() -> None:
    full, single = (make_context(2048, PRIMES, expand=expand, enforce_128=False) for expand in (True, False))
    assert full.first_context_data().next_context_data() is not None
    assert full.key_parms_id() == single.key_parms_id()
    assert single.first_context_data().next_context_data() is None
