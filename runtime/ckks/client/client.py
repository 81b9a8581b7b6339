"""The client's side of a plan: encrypt inputs, decrypt results."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.alarms import ALARM, NEAR, NO_FAULT, faults, largest_coefficient, with_their_batches
from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.circuit.parameters import KeyShape
from hecc.runtime.ckks.circuit.security import InsecureLevel, check_keys
from hecc.runtime.ckks.client.gaussian import discrete_gaussian
from hecc.runtime.ckks.client.keyfolder import waiting
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.keyproof import opened_public
from hecc.runtime.ckks.client.ledger import Ledger
from hecc.runtime.ckks.client.notes import Notes
from hecc.runtime.ckks.client.seal_bridge import LevelCipher, Vector
from hecc.runtime.ckks.client.workers import Workers
from hecc.runtime.ckks.devices.device import default_threads
from hecc.runtime.ckks.disclosure import value_deviation
from hecc.runtime.ckks.keys.folder import check_folder
from hecc.runtime.ckks.keys.keyfiles import Progress, PublicKeyFile, SecretKeyFile, check_covers
from hecc.runtime.ckks.plan.checks import check_header
from hecc.runtime.ckks.plan.header import CkksHeader, CkksInput, CkksOutput, Disclosure
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import DisclosureError, FileFormatError, InputError, OutputError
from hecc.runtime.files.container import CONTENT, Container, FileSource, Kind
from hecc.runtime.inputs.tensors import Tensor, input_rows
from hecc.runtime.pickling import NotPickled
from hecc.runtime.plan.keyset import PUBLIC, SECRET, KeySet, MinSecurity
from hecc.runtime.tail.outcomes import Label, Outputs, finished, report

__all__ = ["ALARM", "Client"]

MANY = 128
"""Ciphertexts for which it is worth to start other processes: about what one encrypts while another starts."""

ADVICE = (
    "the evaluation overflowed, or this is not the plan's result. Check that the inputs are like the calibration data, "
    "or compile again with more precision; do not send the decrypted values or this message to a server that you do "
    "not trust"
)
"""What every alarm of a decryption ends in."""

ELEMENTS = 256
"""Elements of a batch that are put into slots together."""

_Encryption: TypeAlias = Callable[[Iterable[Vector], float], Iterator[bytes]]


class Client(NotPickled):
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
        Bits of security to insist on, whatever the plan claims, and against whom.
    folder
        Where the key lies, beside it the note of the last request (:class:`Notes`), and beside a secret one the list
        of disclosed results (:class:`Ledger`).

    Raises
    ------
    ParameterError, SecurityError
        The plan's parameters are impossible, or not secure enough.
    KeyMismatchError
        The keys are not for this plan, or the public key is not the one that its id is the fingerprint of.
    InputError
        There is no key at all, or the passphrase is missing or wrong.
    """

    UNPICKLED: ClassVar[str] = "it holds keys; make one where you need it"

    def __init__(
        self,
        plan: CkksPlan | CkksHeader,
        *,
        secret: SecretKeyFile | None = None,
        public: PublicKeyFile | None = None,
        passphrase: str | None = None,
        min_security: MinSecurity = 128,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.plan = plan if isinstance(plan, CkksPlan) else CkksPlan(plan)
        spec = self.plan.header.keys
        check_header(self.plan.header)
        check_keys(spec, min_security)
        key = secret or public
        if key is None:
            raise InputError("there is no key; give a secret key, or a public key to encrypt only")
        where = None if folder is None else Path(folder) / (PUBLIC if secret is None else SECRET)
        check_covers(key.header.keys, spec, galois=False, where=where)
        self.key_id = key.header.key_id
        self._keys = key.header.keys.fingerprint
        self._enforce = not isinstance(min_security, InsecureLevel)
        self._secret = self._public = None
        if secret is not None:
            self._secret = secret_residues(secret, passphrase)
        elif public is not None:
            self._public = opened_public(public, enforce_128=self._enforce)
        self._ciphers: dict[int, LevelCipher] = {}
        self._folder = None if folder is None else Path(folder)
        self._notes = Notes(self._folder, self.key_id, self.plan.input_fingerprint)

    @classmethod
    def open(
        cls,
        plan: CkksPlan | FileSource,
        keys: FileSource,
        *,
        passphrase: str | None = None,
        public: bool = False,
        min_security: MinSecurity = 128,
    ) -> Self:
        """The client of a plan, or of its file, and a folder of keys; takes the public key when there is no secret one.

        Parameters
        ----------
        keys
            The folder; or what the file of one key holds, which then has no folder.
        public
            Take the public key in any case.

        Raises
        ------
        InputError
            The folder has no keys, or others may write it.
        HeccError
            As :meth:`hecc.runtime.plan.plan.Plan.load`, the key files and the constructor do.
        """
        loaded = CkksPlan.of(plan)
        if isinstance(keys, CONTENT):
            kinds = [Kind.PUBLIC_KEY] if public else [Kind.SECRET_KEY, Kind.PUBLIC_KEY]
            if Container(keys, *kinds).kind is Kind.SECRET_KEY:
                secret = SecretKeyFile.load(keys)
                return cls(loaded, secret=secret, passphrase=passphrase, min_security=min_security)
            return cls(loaded, public=PublicKeyFile.load(keys), min_security=min_security)
        folder = Path(keys)
        if (folder / SECRET).exists() and not public:
            secret = SecretKeyFile.load(folder / SECRET)
            return cls(loaded, secret=secret, passphrase=passphrase, min_security=min_security, folder=folder)
        if (folder / PUBLIC).exists():
            check_folder(folder)
            return cls(loaded, public=PublicKeyFile.load(folder / PUBLIC), min_security=min_security, folder=folder)
        if not public and (left := waiting(folder)) is not None:
            raise InputError(
                f"{left}: keys that an interrupted `hecc keygen --force` was about to replace wait here; move them "
                f"back into {folder}, or make new ones"
            )
        lacking = f"no {PUBLIC}" if public else f"neither {SECRET} nor {PUBLIC}"
        raise InputError(
            f"{folder}: {lacking} is here; give the folder of the keys, or make some, as `hecc keygen` does"
        )

    @staticmethod
    def keygen(
        plan: CkksPlan | CkksHeader,
        folder: str | os.PathLike[str],
        *,
        shape: KeyShape = "seal",
        min_security: MinSecurity = 128,
        passphrase: str | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> KeySet:
        """Make a key set for a plan; see :func:`hecc.runtime.ckks.client.keygen.generate_keys`."""
        header = plan.header if isinstance(plan, CkksPlan) else plan
        return generate_keys(
            header.keys,
            folder,
            shape=shape,
            min_security=min_security,
            passphrase=passphrase,
            force=force,
            progress=progress,
        )

    def encrypt(
        self, tensors: Tensor | Mapping[str, Tensor], *, processes: int | None = None, note: bool = True
    ) -> CiphertextFile:
        """Encrypt one example, or several rows at once.

        Parameters
        ----------
        tensors
            By input name, or just the tensor of a plan with one input. Of the input's shape for one example, or with a
            leading axis of rows; all inputs the same number of rows.
        processes
            That encrypt at the same time; by default one per processor where there is much to encrypt. With one, this
            process does it.
        note
            Whether this becomes the last request, for :meth:`decrypt`.

        Raises
        ------
        InputError
            Names, shapes, dtypes or values that the plan does not take; or a process ended early.
        """
        # All inputs are checked before the first is encrypted.
        rows = input_rows(tensors, self.plan.header.inputs)
        streams: dict[str, list[list[bytes]]] = {name: [] for name in rows}
        for batch in self._encrypt(rows, processes):
            for name, ciphertexts in batch.items():
                streams[name].append(list(ciphertexts))
        count = len(next(iter(rows.values())))
        made = CiphertextFile.build(self.plan, keys=self._keys, key_id=self.key_id, streams=streams, rows=count)
        if note:
            self._notes.leave(made)
        return made

    def encrypt_to(
        self,
        path: str | os.PathLike[str],
        tensors: Tensor | Mapping[str, Tensor],
        *,
        processes: int | None = None,
        progress: Progress | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> CiphertextFile:
        """As :meth:`encrypt`, but every ciphertext goes to a file as soon as it is made.

        Whatever interrupts it, what is encrypted stays, and the same call goes on from there: with the rows that are
        not encrypted yet, each with randomness of its own as always.

        Parameters
        ----------
        progress
            Called with the rows, or batches of rows, that are encrypted, and all of them.
        resume
            Whether to go on where an interrupted call with the same rows and key stopped, or begin anew.
        force
            Whether to replace a file that holds no encrypted rows, too.

        Raises
        ------
        InputError
            As :meth:`encrypt`, or the file cannot be written, or what was left there is of other rows.
        """
        rows = input_rows(tensors, self.plan.header.inputs)
        made = CiphertextFile.write(
            path,
            self.plan,
            keys=self._keys,
            key_id=self.key_id,
            rows=len(next(iter(rows.values()))),
            batches=lambda first: self._encrypt(rows, processes, first, progress),
            source=self._fingerprint(rows),
            seeded=self._secret is not None,
            resume=resume,
            force=force,
        )
        self._notes.leave(made)
        return made

    def decrypt(
        self,
        result: ResultFile,
        *,
        disclose: bool = False,
        request: str | None = None,
        index: Sequence[Label] = (),
    ) -> Outputs:
        """Decrypt a result, check what can be checked of it, and apply what the network ends in.

        Every row is judged for itself. Those whose values show that the evaluation overflowed are lost, which a warning
        says; the others are as good as if they were alone.

        Parameters
        ----------
        request
            Fingerprint of the request that the result has to answer; by default the last one that this client, or
            else another one with its folder, encrypted.
        disclose
            The values are to be disclosed, that is shown to others: they get the noise that hides what they tell of the
            key, are rounded to the digits that are left, and count as disclosed, a row or batch of rows each. Which
            rows are lost must not be disclosed: with one of them all are refused.
        index
            What the inputs call each row; by default their numbers.

        Returns
        -------
        Outputs
            By output name, each of shape (rows, ...): float64, unless the network ends in a choice of classes. Rows
            that are lost are NaN, and in ``lost``.

        Raises
        ------
        InputError
            The client has the public key only.
        KeyMismatchError
            The result of another plan, of another key set or of another request; or its rows were mixed up.
        FileFormatError
            Ciphertexts that are not what the plan says.
        OutputError
            The values show that the evaluation of all rows overflowed, or that the ciphertexts are not a result of this
            plan. Do not tell a server that you do not trust: what it learns of a decryption can reveal the key.
        DisclosureError
            The plan was not compiled for disclosure, or so many results were disclosed already.
        """
        if disclose:
            self._check_disclosure()
        outputs = self.decrypt_rows(result, request=request, index=index)
        if not disclose:
            report(outputs, ADVICE)
            return outputs
        if outputs.lost:
            raise OutputError(f"{next(iter(outputs.lost.values()))}; {ADVICE}")
        return finished(self.plan.header, self._flooded(result), index=index)

    def decrypt_rows(self, result: ResultFile, *, request: str | None = None, index: Sequence[Label] = ()) -> Outputs:
        """As :meth:`decrypt`, but neither a warning nor an error tells of rows that are lost: the result does.

        Raises
        ------
        InputError, KeyMismatchError, FileFormatError
            As there.
        """
        if self._secret is None:
            raise InputError(f"a public key cannot decrypt; use the client's {SECRET}")
        result.check(self.plan, self.key_id)
        self._notes.check(result, request)
        header, rows = self.plan.header, result.header.rows
        values: dict[str, NDArray[np.float64]] = {}
        lost: dict[int, str] = {}
        wrapped: set[int] = set()
        for signature in header.sent:
            parts = []
            for batch in range(result.batches):
                part, found, near = self._decrypt(signature, result, batch)
                parts.append(part)
                for row, fault in enumerate(found, batch * header.batch):
                    # The last batch is filled up with rows that nobody asked for.
                    if fault != NO_FAULT and row < rows:
                        lost.setdefault(row, f"output {signature.name!r}: {fault}")
                if near:
                    wrapped.add(batch)
            values[signature.name] = np.concatenate(parts)[:rows]
        lost = with_their_batches(lost, wrapped, header.batch, rows)
        return finished(header, values, lost, index=index)

    @property
    def disclosures_left(self) -> int:
        """How many more results may be disclosed.

        Raises
        ------
        DisclosureError
            The plan was not compiled for that, or its noise is too little, or there is no list of disclosed results.
        FileFormatError
            The list of disclosed results was altered.
        """
        disclosure, ledger = self._check_disclosure()
        return ledger.left(self.plan.fingerprint, disclosure.results)

    def _ledger(self) -> Ledger:
        if self._secret is None or self._folder is None:
            raise InputError("disclosed results are counted beside the secret key; give the folder of the keys")
        return Ledger(self._folder, self.key_id, self._secret)

    def _check_disclosure(self) -> tuple[Disclosure, Ledger]:
        disclosure = self.plan.header.disclosure
        if not disclosure:
            raise DisclosureError(
                "the plan has no room for the noise that a result needs before it is disclosed; compile it with "
                "--disclose RESULTS, and encrypt and run again"
            )
        return disclosure, self._ledger()

    def _flooded(self, result: ResultFile) -> dict[str, NDArray[np.float64]]:
        """The values with their noise, once they are counted."""
        disclosure, ledger = self._check_disclosure()
        ledger.spend(self.plan.fingerprint, disclosure.results, result.batches)
        outputs: dict[str, NDArray[np.float64]] = {}
        for signature, deviation in zip(self.plan.header.sent, disclosure.deviations, strict=True):
            found = (self._decrypt(signature, result, batch, math.ceil(deviation)) for batch in range(result.batches))
            batches = [values for values, _, _ in found]
            # The leading digit of the noise is the last one that says anything.
            digit = 10.0 ** math.floor(math.log10(value_deviation(signature, deviation)))
            outputs[signature.name] = np.round(np.concatenate(batches)[: result.header.rows] / digit) * digit
        return outputs

    def _encrypt(
        self,
        rows: Mapping[str, NDArray[np.float64]],
        processes: int | None,
        first: int = 0,
        progress: Progress | None = None,
    ) -> Iterator[dict[str, Iterator[bytes]]]:
        """The ciphertexts of every input, batch by batch from that one on; each is made when it is taken."""
        header = self.plan.header
        starts = range(0, len(next(iter(rows.values()))), header.batch)
        total = (len(starts) - first) * sum(signature.ciphertexts for signature in header.inputs)
        if processes is None:
            processes = default_threads() if total >= MANY else 1
        with ExitStack() as stack:
            encrypt = {limbs: self._encryption(limbs, processes, stack) for limbs in {s.limbs for s in header.inputs}}
            for number, start in enumerate(starts[first:], first + 1):
                part = slice(start, start + header.batch)
                yield {
                    s.name: encrypt[s.limbs](self._contents(s, s.normalised(rows[s.name][part])), float(s.scale))
                    for s in header.inputs
                }
                if progress is not None:
                    progress(number, len(starts))

    def _fingerprint(self, rows: Mapping[str, NDArray[np.float64]]) -> str:
        """Of what is encrypted, and with which half of the key: half a file of each would be none."""
        digest = hashlib.sha256(b"secret" if self._secret is not None else b"public")
        for signature in self.plan.header.inputs:
            values = np.ascontiguousarray(rows[signature.name], dtype="<f8")
            digest.update(hashlib.sha256(values.data).digest())
        return digest.hexdigest()

    def _encryption(self, limbs: int, processes: int, stack: ExitStack) -> _Encryption:
        """Encrypts vectors one after another, in this process or several others."""
        if processes == 1:
            cipher = self._cipher(limbs)
            return lambda vectors, scale: (cipher.encrypt(vector, scale) for vector in vectors)
        workers = Workers(
            processes,
            self.plan.header.keys,
            limbs,
            enforce_128=self._enforce,
            secret=self._secret,
            public=self._public,
        )
        return stack.enter_context(workers).encrypt

    def _contents(self, signature: CkksInput, values: NDArray[np.float64]) -> Iterator[Vector]:
        """What the slots of each ciphertext hold, shape (slots of the ring,)."""
        vectors = self._vectors(signature, values)
        return paired(vectors) if signature.paired else vectors

    def _vectors(self, signature: CkksInput, values: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """The vectors of an input's layout, repeated over the slots of the ring."""
        layout = signature.layout
        copies = self.plan.header.keys.slots // (layout.lanes * layout.slots)
        # The last row fills what is left of a batch: unlike zeros, a row surely does not overflow where others do not.
        rows = np.minimum(np.arange(layout.lanes), len(values) - 1)
        if layout.slots == 1:
            # An element in each ciphertext: some at a time, for all of them twice over might not fit the memory.
            flat, elements = values.reshape(len(values), -1), np.argsort(layout.positions)
            for first in range(0, len(elements), ELEMENTS):
                for vector in flat[np.ix_(rows, elements[first : first + ELEMENTS])].T:
                    yield np.tile(vector, copies)
            return
        for lanes in np.moveaxis(layout.pack(values[rows].reshape(layout.lanes, *layout.shape)), 0, -1):
            yield np.tile(lanes.reshape(-1), copies)

    def _decrypt(
        self, signature: CkksOutput, result: ResultFile, batch: int, flooding: int | None = None
    ) -> tuple[NDArray[np.float64], list[str], bool]:
        """The examples of one batch, shape (batch, ...); the fault of each; whether ciphertexts may have wrapped.

        With noise of a deviation given they are not checked.
        """
        layout = signature.layout
        cipher, scale = self._cipher(signature.limbs), float(signature.scale)
        try:
            streams = result.row(signature.name, batch)
            if flooding is None:
                slots = np.stack([cipher.decrypt(stream, scale) for stream in streams])
            else:
                noise = (discrete_gaussian(flooding, 2 * layout.period * layout.lanes) for _ in streams)
                slots = np.stack(
                    [cipher.decrypt_flooded(stream, scale, n) for stream, n in zip(streams, noise, strict=True)]
                )
        except FileFormatError as error:
            where = result.path or "the encrypted result"
            number = f"row {batch}" if layout.batch == 1 else f"batch {batch}"
            raise FileFormatError(f"{where}: output {signature.name!r}, {number}: {error}") from None
        # A ring with more slots than the examples need holds them several times; the copies' errors are independent.
        copies = np.moveaxis(slots.reshape(layout.count, -1, layout.slots, layout.lanes), -1, 0)
        values = layout.average(copies.real.mean(axis=2))
        examples = values[: layout.batch].reshape(layout.batch, *signature.shape)
        if flooding is not None:
            return examples, [NO_FAULT] * layout.batch, False
        found = faults(signature, copies, values)[: layout.batch]
        near = False
        if layout.batch > 1 and any(fault != NO_FAULT for fault in found):
            near = max(map(largest_coefficient, slots)) > signature.bound / NEAR
        return examples, found, near

    def _cipher(self, limbs: int) -> LevelCipher:
        if limbs not in self._ciphers:
            self._ciphers[limbs] = LevelCipher(
                self.plan.header.keys, limbs, enforce_128=self._enforce, secret=self._secret, public=self._public
            )
        return self._ciphers[limbs]


def paired(vectors: Iterable[NDArray[np.float64]]) -> Iterator[NDArray[np.complex128]]:
    """Two vectors in one, ``a + X^(N/2) b``; the last may be alone.

    :class:`hecc.runtime.ckks.circuit.instructions.Input` wants them so. The value of ``X^(N/2)`` is i in even slots and
    -i in odd ones, as slot ``s`` belongs to the power ``3^s``.
    """
    remaining = iter(vectors)
    for first in remaining:
        second = next(remaining, np.zeros_like(first))
        imaginary = second.copy()
        imaginary[1::2] *= -1
        yield first + 1j * imaginary
