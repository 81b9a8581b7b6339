"""``hecc.Client``: makes keys, encrypts and decrypts. What happens here happens on the client's machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from hecc.inputs.arrays import outputs_frame
from hecc.inputs.labels import Truth
from hecc.inputs.rows import RowLabels
from hecc.inputs.sources import Inputs, Source, forms, load_inputs
from hecc.inputs.targets import load_targets
from hecc.measure.machine import require_memory
from hecc.options.renamed import tells_new_names
from hecc.passphrases import Stored, new_passphrase, stored_passphrase
from hecc.runtime.described import Described
from hecc.runtime.errors import InputError, KeyMismatchError
from hecc.runtime.files.atomic import same_file
from hecc.runtime.files.container import CONTENT, FILE_SOURCES, Content, FileSource
from hecc.runtime.inputs.tensors import plain_array
from hecc.runtime.pickling import NotPickled
from hecc.runtime.plan.header import PlanHeader
from hecc.runtime.plan.holder import AnyHolder, EncryptedRows, Steps
from hecc.runtime.plan.keyset import KeySet, MinSecurity
from hecc.runtime.plan.plan import Plan
from hecc.runtime.tail.outcomes import Label, Outputs
from hecc.runtime.tail.predictions import TOP, Prediction, are_scores, predictions

__all__ = ["DEFAULT_KEYS", "Client"]

DEFAULT_KEYS = "keys"
"""The folder of the keys."""


class Client(NotPickled, Described):
    """The client's side of a plan.

    Files come by their paths or as bytes, and bytes are checked as files are: nothing that they say is believed.

    Parameters
    ----------
    plan
        Either plan, or its file; the client's is enough.
    keys
        Folder of the keys; or the bytes of a secret or a public key, which then has no folder for the note of the last
        request, nor for the list of disclosed results. Without keys, call :meth:`keygen` before anything else.
    passphrase
        Of the secret key, when it is protected.
    keyring
        Take the passphrase from the system's keyring, where :meth:`keygen` has put it.
    public
        Use the public key only: it can encrypt, not decrypt.
    min_security
        Bits of security to insist on, whatever the plan claims: 128, 192 or 256, against a classical adversary; or
        "128-quantum", "192-quantum" or "256-quantum".

    Raises
    ------
    FileFormatError, ParameterError, SecurityError
        The plan is damaged, impossible, or not secure enough.
    KeyMismatchError
        The keys are not for this plan, or the public key is not the one that its id is the fingerprint of.
    InputError
        There are no keys, they are another user's, or others may write their folder; or the passphrase is missing or
        wrong, or not in the keyring.
    MissingExtraError
        The package keyring is asked for, and not installed.
    """

    UNPICKLED: ClassVar[str] = (
        "it holds keys that stay where they are; open one where you need it, as hecc.Client(plan, keys), of the plan's "
        "bytes (plan.dumps()) and the folder of the keys"
    )

    def __init__(
        self,
        plan: Plan | FileSource,
        keys: FileSource | None = None,
        *,
        passphrase: str | None = None,
        keyring: bool = False,
        public: bool = False,
        min_security: MinSecurity = 128,
    ) -> None:
        self.plan = Plan.of(plan)
        self._min_security = min_security
        if keyring and keys is not None and not public:
            if passphrase is not None:
                raise InputError("a passphrase, and the keyring that is to have it; give one of them")
            passphrase = stored_passphrase(keys)
        self._labels = RowLabels(None if keys is None or isinstance(keys, CONTENT) else Path(keys))
        self._holder = None if keys is None else self._open(keys, passphrase, public)

    def described(self) -> tuple[str, list[tuple[str, str]]]:
        """Of which plan it is, and whether it has keys."""
        keys = "none yet; call keygen" if self._holder is None else f"set {self.key_id[:8]}"
        title = f"a client of plan {self.plan.fingerprint[:8]}"
        return title, [("keys", keys), *self.plan.scheme.summary(self.plan.header)]

    @tells_new_names
    def keygen(
        self,
        keys: str | os.PathLike[str] = DEFAULT_KEYS,
        *,
        device: str | None = None,
        passphrase: str | None = None,
        keyring: bool = False,
        force: bool = False,
        others: Iterable[Plan | FileSource] = (),
        progress: Steps | None = None,
    ) -> KeySet:
        """Make a new key set, and use it from now on.

        Parameters
        ----------
        keys
            The folder, made when it does not exist, for this user only.
        device
            What the evaluation keys are for, "native" or "seal"; by default what the plan was compiled for.
        passphrase
            Protects the secret key.
        keyring
            Keep the passphrase in the system's keyring, for ``Client(plan, keys, keyring=True)``. Without a passphrase
            one is made that nobody sees: whoever loses the keyring then loses the keys.
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
            There is no such device; or the folder holds a secret key already, or cannot be written; or this machine
            has not the memory or the disk for the keys; or there is no keyring that keeps secrets.
        MissingExtraError
            The package keyring is asked for, and not installed.
        """
        folder = Path(keys)
        headers = self._served(others)
        scheme = self.plan.scheme
        if keyring and passphrase is None:
            passphrase = new_passphrase()
        require_memory(
            scheme.key_memory(headers, device=device, protected=passphrase is not None),
            "making keys for this plan",
            "or compile a smaller network or for less precision",
        )
        stored = Stored(passphrase, folder) if keyring and passphrase is not None else None
        try:
            made: KeySet = scheme.keygen(
                headers,
                folder,
                device=device,
                min_security=self._min_security,
                passphrase=passphrase,
                force=force,
                progress=progress,
            )
        except BaseException:
            if stored is not None:
                stored.forget()
            raise
        if stored is not None:
            stored.name(made.key_id)
        self._labels = RowLabels(folder)
        self._holder = self._open(folder, passphrase, False)
        return made

    @tells_new_names
    def key_bytes(self, *, device: str | None = None, others: Iterable[Plan | FileSource] = ()) -> int:
        """Bytes of the files that :meth:`keygen` would make, at most, before it makes them.

        Raises
        ------
        KeyMismatchError
            No keys can serve all of the plans.
        """
        size: int = self.plan.scheme.key_bytes(self._served(others), device=device)
        return size

    def _served(self, others: Iterable[Plan | FileSource]) -> list[PlanHeader]:
        """The headers of all plans that keys are to serve, this one's first.

        Raises
        ------
        KeyMismatchError
            They are of several schemes.
        """
        plans = [self.plan, *map(Plan.of, others)]
        for plan in plans:
            if plan.header.scheme != self.plan.header.scheme:
                raise KeyMismatchError(
                    f"no keys serve plans of the schemes {self.plan.header.scheme} and {plan.header.scheme}; make a "
                    "set for each"
                )
        return [plan.header for plan in plans]

    def encrypt(
        self,
        inputs: Source | Inputs,
        *,
        raw: bool = False,
        clip: bool = False,
        skip_bad_rows: bool = False,
        labels: Truth | None = None,
        processes: int | None = None,
        note: bool = True,
    ) -> EncryptedRows:
        """Encrypt one example, or several rows at once; ``save`` writes the file for the server, ``dumps`` returns it.

        Parameters
        ----------
        inputs
            Tensors by input name, or just the tensor of a plan with one input. Of the input's shape for one example, or
            with a leading axis of rows. Or a data frame of pandas, or paths: a .npy, .npz, .csv or .parquet file, an
            image, several images, or a folder of images, in the order of their names. Images and tables are
            preprocessed as the plan says; arrays are the network's own inputs. Columns that have names are found by
            them, in whatever order they come.
        raw
            Arrays hold raw values, too, which are to be preprocessed.
        clip
            Move values outside the range that the plan was compiled for to its nearest end; a warning counts them.
        skip_bad_rows
            Leave out rows with such values, or with a value that is missing or not finite; a warning names them.
            :meth:`decrypt` knows which rows are left, as ``index`` of what it returns.
        labels
            The right answer of each row, for a plan that trains: numbers or names, or a file of them. They are
            encrypted with the rows.
        processes
            That encrypt at the same time; by default one per processor where there is much to encrypt. With one, this
            process does it.
        note
            Leave a note beside the keys, by which :meth:`decrypt` knows in any process that this is the last request.
            Without it, tell :meth:`decrypt` which request it is.

        Raises
        ------
        InputError
            Names, shapes, dtypes or values that the plan does not take, files that cannot be read, or a process that
            ended early.
        FileFormatError
            A file is damaged.
        """
        holder, loaded = self._require(), self._load(inputs, raw, clip, skip_bad_rows)
        made = holder.encrypt(loaded.tensors, processes=_positive(processes), note=note, **self._targets(labels))
        self._labels.keep(made.fingerprint, loaded.labels)
        return made

    def encrypt_to(
        self,
        path: str | os.PathLike[str],
        inputs: Source | Inputs,
        *,
        raw: bool = False,
        clip: bool = False,
        skip_bad_rows: bool = False,
        labels: Truth | None = None,
        processes: int | None = None,
        progress: Steps | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> EncryptedRows:
        """As :meth:`encrypt` and ``save``, but no more than a few ciphertexts are in memory.

        Whatever interrupts it, what is encrypted stays in ``PATH.partial``, and the same call goes on from there.

        Parameters
        ----------
        progress
            Called with the rows, or batches of rows, that are encrypted, and all of them.
        resume
            Whether to go on where an interrupted call with the same rows and key stopped, or begin anew.
        force
            Replace a file that holds no encrypted rows, too; never the inputs.

        Raises
        ------
        InputError, FileFormatError
            As :meth:`encrypt`, or the file cannot be written, is another one, or what was left there is of other rows.
        """
        for source in inputs if isinstance(inputs, list | tuple) else (inputs,):
            if isinstance(source, str | os.PathLike) and same_file(Path(path), Path(source)):
                raise InputError(
                    f"{path}: these are the inputs, which the encrypted rows would replace; give another name"
                )
        holder, loaded = self._require(), self._load(inputs, raw, clip, skip_bad_rows)
        made = holder.encrypt_to(
            path,
            loaded.tensors,
            processes=_positive(processes),
            progress=progress,
            resume=resume,
            force=force,
            **self._targets(labels),
        )
        self._labels.keep(made.fingerprint, loaded.labels)
        return made

    @tells_new_names
    def decrypt(
        self,
        result: EncryptedRows | FileSource,
        *,
        disclose: bool = False,
        request: EncryptedRows | FileSource | None = None,
    ) -> Outputs:
        """Decrypt a result, or the file of one, or what that holds: by output name, each of shape (rows, ...).

        What the network ends in is applied: probabilities behind a softmax, int64 behind an argmax, names of classes.

        Every row is judged for itself. One whose evaluation overflowed is lost: a warning and ``lost`` name it, its
        elements are NaN (which makes integers floats) or empty names, and the other rows are right.

        Parameters
        ----------
        request
            What the result has to answer: what :meth:`encrypt` returned, its file, or its fingerprint. By default the
            last request that this client encrypted, or else any client with this folder of keys.
        disclose
            The values are to be shown to others, the server included. They get the noise that hides what they tell of
            the key, are rounded to the digits that are left, and count as disclosed: each row, or batch of rows, as
            one.
            Which rows are lost tells of the key, too: with one of them all are refused.

        Raises
        ------
        InputError
            The client has the public key only.
        KeyMismatchError, FileFormatError
            It is not the result of this plan for this key set and that request, or its rows were mixed up.
        OutputError
            The values show that the evaluation of all rows overflowed. Do not tell a server that you do not trust.
        DisclosureError
            The plan was not compiled for disclosure, or so many results were disclosed already.
        """
        holder, answer = self._require(), self._result(result)
        return holder.decrypt(answer, disclose=disclose, request=self._request(request), index=self._index(answer))

    def decrypt_rows(
        self,
        result: EncryptedRows | FileSource,
        *,
        request: EncryptedRows | FileSource | None = None,
    ) -> Outputs:
        """As :meth:`decrypt`, but only ``lost`` tells of rows that are lost, even of all: no warning, no error.

        Raises
        ------
        InputError, KeyMismatchError, FileFormatError
            As there.
        """
        holder, answer = self._require(), self._result(result)
        return holder.decrypt_rows(answer, request=self._request(request), index=self._index(answer))

    @property
    def disclosures_left(self) -> int:
        """How many more results may be disclosed, of a plan that was compiled for that.

        Raises
        ------
        DisclosureError
            It was not.
        """
        return self._require().disclosures_left

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

        Raises
        ------
        InputError
            An output of scores is missing, or holds masked values.
        """
        found = {}
        for signature in self.plan.header.outputs:
            if are_scores(signature):
                if signature.name not in outputs:
                    raise InputError(
                        f"there is no output {signature.name!r} to classify; give all that decrypt returned"
                    )
                values = plain_array(f"output {signature.name!r}", outputs[signature.name])
                found[signature.name] = predictions(signature, values, top)
        return found

    def frame(self, outputs: Mapping[str, NDArray[Any]]) -> Any:
        """Decrypted outputs as a data frame of pandas, a row each, with the index that the inputs had.

        Its columns are called by the classes where the plan has labels, else by the outputs, with numbers.

        Parameters
        ----------
        outputs
            What :meth:`decrypt` or :func:`hecc.simulate` returned.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        InputError
            An output is missing.
        """
        return outputs_frame(outputs, self.plan.header)

    @property
    def key_id(self) -> str:
        """Id of the key set, the same in all its files: the fingerprint of its public key, 64 hexadecimal digits.

        Whoever encrypts with a public key compares it with what the owner of the keys says.
        """
        return self._require().key_id

    @property
    def holder(self) -> AnyHolder:
        """What holds the keys, for verbs of single schemes.

        Raises
        ------
        InputError
            There are none yet.
        """
        return self._require()

    def _targets(self, labels: Truth | None) -> dict[str, Any]:
        """What a training's rows have beside them; nothing without labels."""
        return {} if labels is None else {"targets": load_targets(labels, self.plan.header)}

    def _load(self, inputs: Source | Inputs, raw: bool, clip: bool, skip_bad_rows: bool) -> Inputs:
        if isinstance(inputs, Inputs):
            return inputs
        loaded = load_inputs(inputs, forms(self.plan.header.inputs), raw=raw, clip=clip, skip_bad_rows=skip_bad_rows)
        loaded.warn()
        return loaded

    def _index(self, result: EncryptedRows) -> tuple[Label, ...]:
        return self._labels.of(result.answers, result.rows)

    def _require(self) -> AnyHolder:
        if self._holder is None:
            raise InputError("this client has no keys yet; call keygen, or give the folder of the keys")
        return self._holder

    def _open(self, keys: FileSource, passphrase: str | None, public: bool) -> AnyHolder:
        given: Path | Content = keys if isinstance(keys, CONTENT) else Path(keys)
        holder: AnyHolder = self.plan.scheme.holder(
            self.plan, given, passphrase=passphrase, public=public, min_security=self._min_security
        )
        return holder

    def _request(self, request: EncryptedRows | FileSource | None) -> str | None:
        """The fingerprint of a request, of its file, or as it is."""
        if isinstance(request, str) and not Path(request).exists():
            return request
        if isinstance(request, FILE_SOURCES):
            request = self.plan.scheme.request(request)
        return None if request is None else request.fingerprint

    def _result(self, result: EncryptedRows | FileSource) -> EncryptedRows:
        return self.plan.scheme.result(result) if isinstance(result, FILE_SOURCES) else result


def _positive(processes: int | None) -> int | None:
    if processes is not None and processes < 1:
        raise InputError(f"{processes} processes cannot encrypt; give 1 or more")
    return processes
