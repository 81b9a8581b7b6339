"""The client's side of a plan: encrypt inputs, decrypt results."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.client.keygen import PUBLIC, SECRET, KeySet, generate_keys, secret_residues
from hecc.runtime.client.ledger import Ledger
from hecc.runtime.client.seal_bridge import LevelCipher, public_residues
from hecc.runtime.epilogue import apply_steps
from hecc.runtime.errors import FileFormatError, InputError, OutputError, ShareError
from hecc.runtime.flooding import discrete_gaussian, value_deviation
from hecc.runtime.header import InputSignature, OutputSignature, PlanHeader, Sharing
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
    folder
        Where the secret key lies, and the list of results shown to others beside it (:class:`Ledger`).

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
        folder: str | os.PathLike[str] | None = None,
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
        self._folder = None if folder is None else Path(folder)

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
            return cls(loaded, secret=secret, passphrase=passphrase, min_security=min_security, folder=folder)
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

    def encrypt_to(
        self,
        path: str | os.PathLike[str],
        tensors: Tensor | Mapping[str, Tensor],
        *,
        progress: Progress | None = None,
        resume: bool = True,
    ) -> CiphertextFile:
        """As :meth:`encrypt`, but every row, or batch of rows, goes to a file as soon as it is encrypted.

        Whatever interrupts it, what is encrypted stays, and the same call goes on from there: with the rows that are
        not encrypted yet, each with randomness of its own as always.

        Parameters
        ----------
        progress
            Called with the rows, or batches of rows, that are encrypted, and all of them.
        resume
            Whether to go on where an interrupted call with the same rows and key stopped, or begin anew.

        Raises
        ------
        InputError
            As :meth:`encrypt`, or the file cannot be written, or what was left there is of other rows.
        """
        rows = input_rows(tensors, self.plan.header.inputs)
        return CiphertextFile.write(
            path,
            self.plan,
            keys=self._keys,
            key_id=self.key_id,
            rows=len(next(iter(rows.values()))),
            batches=lambda first: self._encrypt(rows, first, progress),
            source=self._fingerprint(rows),
            seeded=self._secret is not None,
            resume=resume,
        )

    def decrypt(self, result: ResultFile, *, share: bool = False) -> dict[str, NDArray[Any]]:
        """Decrypt a result, check what can be checked of it, and apply what the network ends in.

        Parameters
        ----------
        share
            The values are to be shown to others: they get the noise that hides what they tell of the key, are rounded
            to the digits that are left, and count as results shown, a row or batch of rows each.

        Returns
        -------
        dict
            By output name, each of shape (rows, ...): float64, unless the network ends in a choice of classes.

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
        ShareError
            The plan was not compiled for results to be shown, or so many were shown already.
        """
        if self._secret is None:
            raise InputError(f"a public key cannot decrypt; use the client's {SECRET}")
        result.check(self.plan, self.key_id)
        if share:
            self._check_sharing()
        # The last batch is filled up with rows that nobody asked for.
        values = {
            signature.name: np.concatenate(
                [self._decrypt(signature, result, batch) for batch in range(result.batches)]
            )[: result.header.rows]
            for signature in self.plan.header.outputs
        }
        if share:
            values = self._flooded(result)
        return {s.name: apply_steps(values[s.name], s.epilogue) for s in self.plan.header.outputs}

    @property
    def shares_left(self) -> int:
        """How many more results may be shown to others.

        Raises
        ------
        ShareError
            The plan was not compiled for that.
        FileFormatError
            The list of results shown was altered.
        """
        share, ledger = self._check_sharing()
        return ledger.left(self.plan.fingerprint, share.results)

    def _check_sharing(self) -> tuple[Sharing, Ledger]:
        share = self.plan.header.share
        if not share:
            raise ShareError(
                "the plan has no room for the noise that a result needs before it is shown to others; compile it with "
                "--share RESULTS, and encrypt and run again"
            )
        if self._secret is None or self._folder is None:
            raise InputError("results shown to others are counted beside the secret key; give the folder of the keys")
        return share, Ledger(self._folder, self.key_id, self._secret)

    def _flooded(self, result: ResultFile) -> dict[str, NDArray[np.float64]]:
        """The values with their noise, once they are counted."""
        share, ledger = self._check_sharing()
        ledger.spend(self.plan.fingerprint, share.results, result.batches)
        outputs: dict[str, NDArray[np.float64]] = {}
        for signature, deviation in zip(self.plan.header.outputs, share.deviations, strict=True):
            batches = [self._decrypt(signature, result, batch, math.ceil(deviation)) for batch in range(result.batches)]
            # The leading digit of the noise is the last one that says anything.
            digit = 10.0 ** math.floor(math.log10(value_deviation(signature, deviation)))
            outputs[signature.name] = np.round(np.concatenate(batches)[: result.header.rows] / digit) * digit
        return outputs

    def _encrypt(
        self, rows: Mapping[str, NDArray[np.float64]], first: int = 0, progress: Progress | None = None
    ) -> Iterator[dict[str, list[bytes]]]:
        """The ciphertexts of every input, batch by batch, from that batch on."""
        batch, signatures = self.plan.header.batch, self.plan.header.inputs
        starts = range(0, len(next(iter(rows.values()))), batch)
        for number in range(first, len(starts)):
            part = slice(starts[number], starts[number] + batch)
            yield {s.name: self._encrypt_batch(s, rows[s.name][part]) for s in signatures}
            if progress is not None:
                progress(number + 1, len(starts))

    def _fingerprint(self, rows: Mapping[str, NDArray[np.float64]]) -> str:
        """Of what is encrypted, and with which half of the key: half a file of each would be none."""
        digest = hashlib.sha256(b"secret" if self._secret is not None else b"public")
        for signature in self.plan.header.inputs:
            values = np.ascontiguousarray(rows[signature.name], dtype="<f8")
            digest.update(hashlib.sha256(values.data).digest())
        return digest.hexdigest()

    def _encrypt_batch(self, signature: InputSignature, values: NDArray[np.float64]) -> list[bytes]:
        layout = signature.layout
        cipher, scale = self._cipher(signature.limbs), float(signature.scale)
        # The last row fills what is left of a batch: unlike zeros, a row surely does not overflow where others do not.
        filled = values[np.minimum(np.arange(layout.blocks), len(values) - 1)]
        packed = np.moveaxis(layout.pack(filled.reshape(layout.blocks, *layout.shape)), 0, 1)
        copies = self.plan.header.keys.slots // (layout.blocks * layout.slots)
        return [cipher.encrypt(np.tile(blocks.reshape(-1), copies), scale) for blocks in packed]

    def _decrypt(
        self, signature: OutputSignature, result: ResultFile, batch: int, flooding: int | None = None
    ) -> NDArray[np.float64]:
        """The examples of one batch, shape (batch, ...); with noise of that deviation, if any, and then not checked."""
        layout = signature.layout
        cipher, scale = self._cipher(signature.limbs), float(signature.scale)
        try:
            streams = result.row(signature.name, batch)
            if flooding is None:
                slots = np.stack([cipher.decrypt(stream, scale) for stream in streams])
            else:
                noise = (discrete_gaussian(flooding, 2 * layout.period * layout.blocks) for _ in streams)
                slots = np.stack(
                    [cipher.decrypt_flooded(stream, scale, n) for stream, n in zip(streams, noise, strict=True)]
                )
        except FileFormatError as error:
            where = result.path or "the encrypted result"
            number = f"row {batch}" if layout.batch == 1 else f"batch {batch}"
            raise FileFormatError(f"{where}: output {signature.name!r}, {number}: {error}") from None
        # A ring with more slots than the examples need holds them several times; the copies' errors are independent.
        copies = np.moveaxis(slots.reshape(layout.count, -1, layout.blocks, layout.slots), 2, 0)
        values = layout.average(copies.real.mean(axis=2))
        if flooding is None:
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
