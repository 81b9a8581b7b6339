"""``hecc.Client``: makes keys, encrypts and decrypts. What happens here happens on the client's machine."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hecc.inputs import Source, forms, load_inputs
from hecc.machine import require_memory
from hecc.runtime.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.client.client import Client as Session
from hecc.runtime.client.keygen import EVALUATION, PUBLIC, SECRET, KeySet, generate_keys, key_making_memory
from hecc.runtime.client.ledger import LEDGER
from hecc.runtime.client.predictions import TOP, Prediction, are_scores, predictions
from hecc.runtime.errors import InputError
from hecc.runtime.files import temporary_folder
from hecc.runtime.keyfiles import Progress, PublicKeyFile, SecretKeyFile
from hecc.runtime.outcomes import Outputs
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
            There is no such shape; or the folder holds a secret key already, or cannot be written; or this machine
            has not the memory or the disk for the keys.
        """
        folder = Path(folder)
        plans = [(other if isinstance(other, Plan) else Plan.load(other)).header.keys for other in others]
        keys = functools.reduce(union, plans, self.plan.header.keys)
        shape = shape or self.plan.header.estimate.evaluator
        require_memory(
            key_making_memory(keys, shape, protected=passphrase is not None),
            "making keys for this plan",
            "or compile a smaller network or for less precision",
        )
        make = functools.partial(
            generate_keys,
            keys,
            shape=shape,
            min_security=self._min_security,
            passphrase=passphrase,
            progress=progress,
        )
        if force and (folder / SECRET).exists():
            # Made beside the old ones, which are lost only when the new ones are complete.
            with temporary_folder(folder / "keys") as temporary:
                new = make(temporary)
                # The secret last, as generate_keys does.
                for name in (EVALUATION, PUBLIC, SECRET):
                    (temporary / name).replace(folder / name)
            made = KeySet(new.key_id, folder / SECRET, folder / PUBLIC, folder / EVALUATION)
        else:
            made = make(folder)
        # What was shown of older keys does not count for these.
        (folder / LEDGER).unlink(missing_ok=True)
        self._session = self._open(folder, passphrase, False)
        return made

    def encrypt(self, inputs: Source, *, raw: bool = False, processes: int | None = None) -> CiphertextFile:
        """Encrypt one example, or several rows at once; ``save`` writes the file for the server.

        Parameters
        ----------
        inputs
            Tensors by input name, or just the tensor of a plan with one input. Of the input's shape for one example, or
            with a leading axis of rows. Or paths: a .npy, .npz or .csv file, an image, several images, or a folder of
            images, in the order of their names. Images and tables are preprocessed as the plan says; arrays are the
            network's own inputs.
        raw
            Arrays hold raw values, too, which are to be preprocessed.
        processes
            That encrypt at the same time; by default one per processor where there is much to encrypt. With one, this
            process does it.

        Raises
        ------
        InputError
            Names, shapes, dtypes or values that the plan does not take, files that cannot be read, or a process that
            ended early.
        FileFormatError
            A file is damaged.
        """
        return self._require().encrypt(self._load(inputs, raw), processes=_positive(processes))

    def encrypt_to(
        self,
        path: str | os.PathLike[str],
        inputs: Source,
        *,
        raw: bool = False,
        processes: int | None = None,
        progress: Progress | None = None,
        resume: bool = True,
    ) -> CiphertextFile:
        """As :meth:`encrypt` and ``save``, but no more than a few ciphertexts are in memory.

        Whatever interrupts it, what is encrypted stays in ``PATH.partial``, and the same call goes on from there.

        Parameters
        ----------
        progress
            Called with the rows, or batches of rows, that are encrypted, and all of them.
        resume
            Whether to go on where an interrupted call with the same rows and key stopped, or begin anew.

        Raises
        ------
        InputError, FileFormatError
            As :meth:`encrypt`, or the file cannot be written, or what was left there is of other rows.
        """
        return self._require().encrypt_to(
            path, self._load(inputs, raw), processes=_positive(processes), progress=progress, resume=resume
        )

    def decrypt(self, result: ResultFile | str | os.PathLike[str], *, share: bool = False) -> Outputs:
        """Decrypt a result, or the file of one: by output name, each of shape (rows, ...).

        What the network ends in is applied: probabilities behind a softmax, int64 behind an argmax, names of classes.

        Every row is judged for itself. One whose evaluation overflowed is lost: a warning and ``lost`` name it, its
        elements are NaN (which makes integers floats) or empty names, and the other rows are right.

        Parameters
        ----------
        share
            The values are to be shown to others, the server included. They get the noise that hides what they tell of
            the key, are rounded to the digits that are left, and count as shown, each row, or batch of rows, as one.
            Which rows are lost tells of the key, too: with one of them all are refused.

        Raises
        ------
        InputError
            The client has the public key only.
        KeyMismatchError, FileFormatError
            It is not a result of this plan for this key set.
        OutputError
            The values show that the evaluation of all rows overflowed. Do not tell a server that you do not trust.
        ShareError
            The plan was not compiled for results to be shown, or so many were shown already.
        """
        return self._require().decrypt(_loaded(result), share=share)

    def decrypt_rows(self, result: ResultFile | str | os.PathLike[str]) -> Outputs:
        """As :meth:`decrypt`, but only ``lost`` tells of rows that are lost, even of all: no warning, no error.

        Raises
        ------
        InputError, KeyMismatchError, FileFormatError
            As there.
        """
        return self._require().decrypt_rows(_loaded(result))

    @property
    def shares_left(self) -> int:
        """How many more results may be shown to others, of a plan that was compiled for that.

        Raises
        ------
        ShareError
            It was not.
        """
        return self._require().shares_left

    def classify(self, outputs: Mapping[str, NDArray[Any]], top: int = TOP) -> dict[str, list[list[Prediction]]]:
        """The most probable classes of decrypted scores, by name where the plan has labels.

        Parameters
        ----------
        outputs
            What :meth:`decrypt` returned.
        top
            How many classes per row.

        Returns
        -------
        dict
            For every output of scores, for every row the classes with their confidences, the first one first. The
            confidences are the probabilities that the network ends in, else the softmax of the scores; of a single
            score the logistic function; none where the network ends in the choice of a class. A row that is lost has no
            classes.
        """
        return {
            signature.name: predictions(signature, outputs[signature.name], top)
            for signature in self.plan.header.outputs
            if are_scores(signature)
        }

    @property
    def key_id(self) -> str:
        """Random id of the key set, the same in all its files."""
        return self._require().key_id

    def _load(self, inputs: Source, raw: bool) -> dict[str, Tensor]:
        return load_inputs(inputs, forms(self.plan.header.inputs), raw=raw).tensors

    def _require(self) -> Session:
        if self._session is None:
            raise InputError("this client has no keys yet; call keygen, or give the folder of the keys")
        return self._session

    def _open(self, folder: Path, passphrase: str | None, public: bool) -> Session:
        if (folder / SECRET).exists() and not public:
            secret = SecretKeyFile.load(folder / SECRET)
            return Session(
                self.plan, secret=secret, passphrase=passphrase, min_security=self._min_security, folder=folder
            )
        if (folder / PUBLIC).exists():
            return Session(
                self.plan,
                public=PublicKeyFile.load(folder / PUBLIC),
                min_security=self._min_security,
                folder=folder,
            )
        wanted = PUBLIC if public else f"neither {SECRET} nor {PUBLIC}"
        raise InputError(
            f"{folder}: {'no ' if public else ''}{wanted} is here; give the folder of the keys, or make some, as "
            "`hecc keygen` does"
        )


def _loaded(result: ResultFile | str | os.PathLike[str]) -> ResultFile:
    return result if isinstance(result, ResultFile) else ResultFile.load(result)


def _positive(processes: int | None) -> int | None:
    if processes is not None and processes < 1:
        raise InputError(f"{processes} processes cannot encrypt; give 1 or more")
    return processes
