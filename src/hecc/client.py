"""``hecc.Client``: makes keys, encrypts and decrypts. What happens here happens on the client's machine."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.client.client import Client as Session
from hecc.runtime.client.keygen import EVALUATION, PUBLIC, SECRET, KeySet, generate_keys
from hecc.runtime.errors import InputError
from hecc.runtime.keyfiles import Progress, PublicKeyFile, SecretKeyFile
from hecc.runtime.parameters import KeyShape, union
from hecc.runtime.plan import Plan
from hecc.runtime.security import InsecureLevel
from hecc.runtime.tensors import Tensor

__all__ = ["DEFAULT_KEYS", "Client"]

DEFAULT_KEYS = "keys"
"""The folder of the keys."""


class Client:
    """The client's side of a plan.

    Parameters
    ----------
    plan
        Either plan, or the path of either plan file; the client's is enough.
    keys
        Folder of the keys. Without it, call :meth:`keygen` before anything else.
    passphrase
        Of the secret key, when it is protected.
    public
        Use the public key only: it can encrypt, not decrypt.
    min_security
        Bits of security to insist on, whatever the plan claims: 128, 192 or 256.

    Raises
    ------
    FileFormatError, ParameterError, SecurityError
        The plan is damaged, impossible, or not secure enough.
    KeyMismatchError
        The keys are not for this plan.
    InputError
        There are no keys, or the passphrase is missing or wrong.
    """

    def __init__(
        self,
        plan: Plan | str | os.PathLike[str],
        keys: str | os.PathLike[str] | None = None,
        *,
        passphrase: str | None = None,
        public: bool = False,
        min_security: int | InsecureLevel = 128,
    ) -> None:
        self.plan = plan if isinstance(plan, Plan) else Plan.load(plan)
        self._min_security = min_security
        self._session = None if keys is None else self._open(Path(keys), passphrase, public)

    def keygen(
        self,
        folder: str | os.PathLike[str] = DEFAULT_KEYS,
        *,
        shape: KeyShape | None = None,
        passphrase: str | None = None,
        force: bool = False,
        others: Iterable[Plan | str | os.PathLike[str]] = (),
        progress: Progress | None = None,
    ) -> KeySet:
        """Make a new key set, and use it from now on.

        Parameters
        ----------
        folder
            Made when it does not exist, for this user only.
        shape
            Which evaluator the evaluation keys are for, "native" or "seal"; by default the one that the plan was
            compiled for.
        passphrase
            Protects the secret key.
        force
            Replace keys that are there already. What was encrypted with them can never be decrypted again.
        others
            Other plans that the keys shall serve, too, compiled with the chain of this one or the other way round.
        progress
            Called with the number of evaluation keys done, and of all.

        Returns
        -------
        KeySet
            Paths: ``secret`` stays here, ``public`` may go to whoever encrypts for you, ``evaluation`` goes to the
            server.

        Raises
        ------
        ParameterError, SecurityError
            The plan's parameters are impossible, or not secure enough.
        KeyMismatchError
            No keys can serve all of the plans.
        InputError
            There is no such shape; or the folder holds a secret key already, or cannot be written.
        """
        folder = Path(folder)
        plans = [(other if isinstance(other, Plan) else Plan.load(other)).header.keys for other in others]
        make = functools.partial(
            generate_keys,
            functools.reduce(union, plans, self.plan.header.keys),
            shape=shape or self.plan.header.estimate.evaluator,
            min_security=self._min_security,
            passphrase=passphrase,
            progress=progress,
        )
        if force and (folder / SECRET).exists():
            # Made beside the old ones, which are lost only when the new ones are complete.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".keygen-") as temporary:
                new = make(temporary)
                # The secret last, as generate_keys does.
                for name in (EVALUATION, PUBLIC, SECRET):
                    (Path(temporary) / name).replace(folder / name)
            keys = KeySet(new.key_id, folder / SECRET, folder / PUBLIC, folder / EVALUATION)
        else:
            keys = make(folder)
        self._session = self._open(folder, passphrase, False)
        return keys

    def encrypt(self, tensors: Tensor | Mapping[str, Tensor]) -> CiphertextFile:
        """Encrypt one example, or several rows at once; ``save`` writes the file for the server.

        Parameters
        ----------
        tensors
            By input name, or just the tensor of a plan with one input. Of the input's shape for one example, or with a
            leading axis of rows.

        Raises
        ------
        InputError
            Names, shapes, dtypes or values that the plan does not take.
        """
        return self._require().encrypt(tensors)

    def encrypt_to(self, path: str | os.PathLike[str], tensors: Tensor | Mapping[str, Tensor]) -> CiphertextFile:
        """As :meth:`encrypt` and ``save``, but no more than one row, or batch of rows, is in memory.

        Raises
        ------
        InputError
            As :meth:`encrypt`, or the file cannot be written.
        """
        return self._require().encrypt_to(path, tensors)

    def decrypt(self, result: ResultFile | str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
        """Decrypt a result, or the file of one: by output name, each of shape (rows, ...).

        Raises
        ------
        InputError
            The client has the public key only.
        KeyMismatchError, FileFormatError
            It is not a result of this plan for this key set.
        OutputError
            The values show that the evaluation overflowed. Do not tell a server that you do not trust.
        """
        return self._require().decrypt(result if isinstance(result, ResultFile) else ResultFile.load(result))

    @property
    def key_id(self) -> str:
        """Random id of the key set, the same in all its files."""
        return self._require().key_id

    def _require(self) -> Session:
        if self._session is None:
            raise InputError("this client has no keys yet; call keygen, or give the folder of the keys")
        return self._session

    def _open(self, folder: Path, passphrase: str | None, public: bool) -> Session:
        if (folder / SECRET).exists() and not public:
            secret = SecretKeyFile.load(folder / SECRET)
            return Session(self.plan, secret=secret, passphrase=passphrase, min_security=self._min_security)
        if (folder / PUBLIC).exists():
            return Session(self.plan, public=PublicKeyFile.load(folder / PUBLIC), min_security=self._min_security)
        wanted = PUBLIC if public else f"neither {SECRET} nor {PUBLIC}"
        raise InputError(f"{folder}: {'no ' if public else ''}{wanted} is here; make keys first, as `hecc keygen` does")
