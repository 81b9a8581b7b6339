"""The client's side of a plan: encrypt inputs, decrypt results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.client.keygen import PUBLIC, SECRET, KeySet, generate_keys, secret_residues
from hecc.runtime.client.seal_bridge import LevelCipher, public_residues
from hecc.runtime.errors import FileFormatError, InputError, OutputError
from hecc.runtime.header import InputSignature, OutputSignature, PlanHeader
from hecc.runtime.keyfiles import Progress, PublicKeyFile, SecretKeyFile, check_covers
from hecc.runtime.parameters import KeyShape
from hecc.runtime.plan import Plan, check_header
from hecc.runtime.security import InsecureLevel, check_keys
from hecc.runtime.tensors import Tensor, input_rows

__all__ = ["ALARM", "Client"]

ALARM = 32
"""How many predicted standard deviations a slot that must be zero may show. Noise of 32768 slots reaches about five;
the rest allows for an imprecise prediction. An overflow is off by the modulus over the scale, thousands of times
as much."""


class Client:
    """Encrypts for a plan, and decrypts what the plan computed.

    Parameters
    ----------
    plan
        Either plan, or its header.
    secret
        Needed to decrypt; encrypts with half the upload.
    public
        Enough to encrypt.
    passphrase
        Of the secret key, when it is protected.
    min_security
        Bits of security to insist on, whatever the plan claims.

    Raises
    ------
    ParameterError, SecurityError
        The plan's parameters are impossible, or not secure enough.
    KeyMismatchError
        The keys are not for this plan.
    InputError
        There is no key at all, or the passphrase is missing or wrong.
    """

    def __init__(
        self,
        plan: Plan | PlanHeader,
        *,
        secret: SecretKeyFile | None = None,
        public: PublicKeyFile | None = None,
        passphrase: str | None = None,
        min_security: int | InsecureLevel = 128,
    ) -> None:
        self.plan = plan if isinstance(plan, Plan) else Plan(plan)
        spec = self.plan.header.keys
        check_header(self.plan.header)
        check_keys(spec, min_security)
        key = secret or public
        if key is None:
            raise InputError("there is no key; give a secret key, or a public key to encrypt only")
        check_covers(key.header.keys, spec, galois=False)
        self.key_id = key.header.key_id
        self._keys = key.header.keys.fingerprint
        self._enforce = not isinstance(min_security, InsecureLevel)
        self._secret = self._public = None
        if secret is not None:
            self._secret = secret_residues(secret, passphrase)
        elif public is not None:
            self._public = public_residues(spec, public.stream, enforce_128=self._enforce)
        self._ciphers: dict[int, LevelCipher] = {}

    @classmethod
    def open(
        cls,
        plan: str | os.PathLike[str],
        keys: str | os.PathLike[str],
        *,
        passphrase: str | None = None,
        min_security: int | InsecureLevel = 128,
    ) -> Self:
        """The client of a plan file and a folder of keys; takes the public key when there is no secret one.

        Raises
        ------
        HeccError
            As :meth:`hecc.runtime.plan.Plan.load`, the key files and the constructor do.
        """
        folder = Path(keys)
        loaded = Plan.load(plan)
        if (folder / SECRET).exists():
            secret = SecretKeyFile.load(folder / SECRET)
            return cls(loaded, secret=secret, passphrase=passphrase, min_security=min_security)
        if (folder / PUBLIC).exists():
            return cls(loaded, public=PublicKeyFile.load(folder / PUBLIC), min_security=min_security)
        raise InputError(f"{folder}: neither {SECRET} nor {PUBLIC} is here; run `hecc keygen` first")

    @staticmethod
    def keygen(
        plan: Plan | PlanHeader,
        folder: str | os.PathLike[str],
        *,
        shape: KeyShape = "seal",
        min_security: int | InsecureLevel = 128,
        passphrase: str | None = None,
        progress: Progress | None = None,
    ) -> KeySet:
        """Make a key set for a plan; see :func:`hecc.runtime.client.keygen.generate_keys`."""
        header = plan.header if isinstance(plan, Plan) else plan
        return generate_keys(
            header.keys, folder, shape=shape, min_security=min_security, passphrase=passphrase, progress=progress
        )

    def encrypt(self, tensors: Tensor | Mapping[str, Tensor]) -> CiphertextFile:
        """Encrypt one example, or several rows at once.

        Parameters
        ----------
        tensors
            By input name, or just the tensor of a plan with one input. Of the input's shape for one example, or with a
            leading axis of rows; all inputs the same number of rows.

        Raises
        ------
        InputError
            Names, shapes, dtypes or values that the plan does not take.
        """
        # All inputs are checked before the first is encrypted.
        rows = input_rows(tensors, self.plan.header.inputs)
        streams: dict[str, list[list[bytes]]] = {name: [] for name in rows}
        for batch in self._encrypt(rows):
            for name, ciphertexts in batch.items():
                streams[name].append(ciphertexts)
        count = len(next(iter(rows.values())))
        return CiphertextFile.build(self.plan, keys=self._keys, key_id=self.key_id, streams=streams, rows=count)

    def encrypt_to(self, path: str | os.PathLike[str], tensors: Tensor | Mapping[str, Tensor]) -> CiphertextFile:
        """As :meth:`encrypt`, but every row, or batch of rows, goes to a file as soon as it is encrypted.

        Raises
        ------
        InputError
            As :meth:`encrypt`, or the file cannot be written.
        """
        rows = input_rows(tensors, self.plan.header.inputs)
        return CiphertextFile.write(
            path,
            self.plan,
            keys=self._keys,
            key_id=self.key_id,
            rows=len(next(iter(rows.values()))),
            batches=self._encrypt(rows),
        )

    def decrypt(self, result: ResultFile) -> dict[str, NDArray[np.float64]]:
        """Decrypt a result, and check what can be checked of it.

        Returns
        -------
        dict
            By output name, each of shape (rows, ...).

        Raises
        ------
        InputError
            The client has the public key only.
        KeyMismatchError
            The result of another plan, or of another key set.
        FileFormatError
            Ciphertexts that are not what the plan says.
        OutputError
            The values show that the evaluation overflowed, or that the ciphertexts are not a result of this plan. Do
            not tell a server that you do not trust: what it learns of a decryption can reveal the key.
        """
        if self._secret is None:
            raise InputError(f"a public key cannot decrypt; use the client's {SECRET}")
        result.check(self.plan, self.key_id)
        # The last batch is filled up with rows that nobody asked for.
        return {
            signature.name: np.concatenate(
                [self._decrypt(signature, result, batch) for batch in range(result.batches)]
            )[: result.header.rows]
            for signature in self.plan.header.outputs
        }

    def _encrypt(self, rows: Mapping[str, NDArray[np.float64]]) -> Iterator[dict[str, list[bytes]]]:
        """The ciphertexts of every input, batch by batch."""
        batch, signatures = self.plan.header.batch, self.plan.header.inputs
        for start in range(0, len(next(iter(rows.values()))), batch):
            yield {s.name: self._encrypt_batch(s, rows[s.name][start : start + batch]) for s in signatures}

    def _encrypt_batch(self, signature: InputSignature, values: NDArray[np.float64]) -> list[bytes]:
        layout = signature.layout
        cipher, scale = self._cipher(signature.limbs), float(signature.scale)
        # The last row fills what is left of a batch: unlike zeros, a row surely does not overflow where others do not.
        filled = values[np.minimum(np.arange(layout.lanes), len(values) - 1)]
        packed = np.moveaxis(layout.pack(filled.reshape(layout.lanes, *layout.shape)), 0, -1)
        copies = self.plan.header.keys.slots // (layout.lanes * layout.slots)
        return [cipher.encrypt(np.tile(lanes.reshape(-1), copies), scale) for lanes in packed]

    def _decrypt(self, signature: OutputSignature, result: ResultFile, batch: int) -> NDArray[np.float64]:
        """The examples of one batch, shape (batch, ...)."""
        layout = signature.layout
        cipher, scale = self._cipher(signature.limbs), float(signature.scale)
        try:
            slots = np.stack([cipher.decrypt(stream, scale) for stream in result.row(signature.name, batch)])
        except FileFormatError as error:
            where = result.path or "the encrypted result"
            number = f"row {batch}" if layout.batch == 1 else f"batch {batch}"
            raise FileFormatError(f"{where}: output {signature.name!r}, {number}: {error}") from None
        # A ring with more slots than the examples need holds them several times; the copies' errors are independent.
        copies = np.moveaxis(slots.reshape(layout.count, -1, layout.slots, layout.lanes), -1, 0)
        values = layout.average(copies.real.mean(axis=2))
        _check_result(signature, copies, values)
        return values[: layout.batch].reshape(layout.batch, *signature.shape)

    def _cipher(self, limbs: int) -> LevelCipher:
        if limbs not in self._ciphers:
            self._ciphers[limbs] = LevelCipher(
                self.plan.header.keys, limbs, enforce_128=self._enforce, secret=self._secret, public=self._public
            )
        return self._ciphers[limbs]


def _check_result(signature: OutputSignature, copies: NDArray[np.complex128], values: NDArray[np.float64]) -> None:
    """The free alarms of a decryption; the messages hold no decrypted value, so that a bug report leaks none.

    ``copies`` has shape (examples, count, copies in the ring, slots of the layout). The predicted error is that of
    their mean; a single one may be as far off as makes the mean err by that much.
    """
    layout, tolerance = signature.layout, ALARM * signature.error
    slots = copies.mean(axis=2)
    spread = np.abs(copies.real - slots.real[:, :, np.newaxis]).max(axis=2) / copies.shape[2]
    occupied = layout.occupied
    deviation = np.abs(slots.real - layout.pack(values))
    alarms = (
        (np.abs(slots.imag) > tolerance, "imaginary parts are larger than the predicted error"),
        (~occupied & (deviation > tolerance), "slots that must be zero are not"),
        # Both the copy and the mean err.
        (occupied & (np.maximum(deviation, spread) > 2 * tolerance), "copies of one value differ"),
        (
            occupied & (np.abs(slots.real) > signature.bound),
            f"values are beyond the bound of {signature.bound:.6g}",
        ),
    )
    for mask, fault in alarms:
        if mask.any():
            raise OutputError(
                f"output {signature.name!r}: {fault}; the evaluation overflowed, or this is not the plan's result. "
                "Check that the inputs are like the calibration data, or compile again with more precision; "
                "do not send the decrypted values or this message to a server that you do not trust"
            )
