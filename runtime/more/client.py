"""Whoever has the key: encodes rows, and decodes results and trained parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import DisclosureError, FileFormatError, InputError, KeyMismatchError
from hecc.runtime.files.atomic import read_regular, write_file
from hecc.runtime.files.container import Content, Kind
from hecc.runtime.inputs.tensors import Tensor, input_rows
from hecc.runtime.more.arithmetic import Encoded
from hecc.runtime.more.keys import SecretKey, check_size, random_source
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.more.rows import EncodedFile, RowsHeader
from hecc.runtime.more.training.file import TrainedFile
from hecc.runtime.plan.holder import Steps
from hecc.runtime.plan.keyset import SECRET
from hecc.runtime.tail.outcomes import Label, Outputs, finished, report
from hecc.runtime.training.names import TARGET

__all__ = ["NOISE", "NOTE", "Holder"]

NOISE = 0.01
"""Standard deviation of the noise on the numbers of the other channels, as a part of an input's range."""

NOTE = "last-request"
"""Beside the key: the fingerprint of the rows that were encoded last."""


class Holder:
    """See :class:`hecc.runtime.plan.holder.Holder`."""

    def __init__(self, plan: MorePlan, key: SecretKey, folder: Path | None) -> None:
        check_size(key, plan.header.size)
        self._plan, self._key, self._folder = plan, key, folder
        self._last = ""

    @classmethod
    def open(cls, plan: MorePlan, keys: Path | Content) -> Holder:
        """The holder of the key in a folder, or in what its file holds."""
        if not isinstance(keys, Path):
            return cls(plan, SecretKey.load(keys), None)
        if not (keys / SECRET).is_file():
            raise InputError(f"{keys / SECRET}: there is no secret key here; make one with hecc keygen, or name --keys")
        return cls(plan, SecretKey.load(keys / SECRET), keys)

    @property
    def key_id(self) -> str:
        """Id of the key set."""
        return self._key.key_id

    @property
    def disclosures_left(self) -> int:
        """None are counted."""
        raise DisclosureError("results of the scheme more are not disclosed: it hides nothing")

    def encrypt(
        self,
        tensors: Mapping[str, Tensor],
        *,
        processes: int | None = None,
        note: bool = True,
        targets: NDArray[np.float64] | None = None,
    ) -> EncodedFile:
        """Encode rows, and with them the right answers of a training.

        The other channels hold other rows with their own answers and a little noise: the second channel of a training
        is then a training of the same kind, which stays in range as the first does.
        """
        header = self._plan.header
        rows = input_rows(tensors, header.inputs)
        count = len(next(iter(rows.values())))
        if (targets is None) != (header.training is None):
            raise InputError(
                "this plan trains, and its rows need their right answers: give --labels (labels in Python)"
                if targets is None
                else "this plan does not train, and takes no labels; leave them out, or compile with --train"
            )
        random = random_source()
        orders = [_elsewhere(count, random) for _ in range(self._key.size - 1)]
        encoded = {}
        for source in header.inputs:
            values = source.normalised(rows[source.name])
            low, high = source.encrypted_range
            others = [self._other(values, order, low, high, random) for order in orders]
            encoded[source.name] = self._key.encode([values, *others])
        if targets is not None:
            expected = header.targets
            assert expected is not None, "a training has targets"
            if targets.shape != (count, *expected.shape) or not bool(np.isfinite(targets).all()):
                raise InputError(
                    f"labels of shape {targets.shape} for {count} rows, each of shape {expected.shape}; give a finite "
                    "one for each row"
                )
            encoded[TARGET] = self._key.encode([targets, *(targets[order] for order in orders)])
        made = EncodedFile(
            Kind.CIPHERTEXT,
            RowsHeader(
                key_id=self.key_id,
                of=self._plan.input_fingerprint,
                size=self._key.size,
                rows=count,
                tensors=tuple(encoded),
            ),
            encoded,
        )
        if note:
            self._remember(made.fingerprint)
        return made

    def _other(
        self,
        values: NDArray[np.float64],
        order: NDArray[np.int64],
        low: float,
        high: float,
        random: np.random.Generator,
    ) -> NDArray[np.float64]:
        if len(values) == 1:
            # There is no other row: numbers of the range stand for one.
            return random.uniform(low, high, values.shape)
        return np.asarray(values[order] + NOISE * (high - low) * random.normal(size=values.shape))

    def encrypt_to(
        self,
        path: str | os.PathLike[str],
        tensors: Mapping[str, Tensor],
        *,
        processes: int | None = None,
        progress: Steps | None = None,
        resume: bool = True,
        force: bool = False,
        targets: NDArray[np.float64] | None = None,
    ) -> EncodedFile:
        """Encode rows into a file."""
        made = self.encrypt(tensors, note=False, targets=targets)
        made.save(path, force=force)
        self._remember(made.fingerprint)
        if progress is not None:
            progress(made.rows, made.rows)
        return made

    def decrypt(
        self, result: EncodedFile, *, disclose: bool = False, request: str | None = None, index: Sequence[Label] = ()
    ) -> Outputs:
        """Decode a result."""
        if disclose:
            raise DisclosureError(
                "--disclose is for the scheme ckks: results of the scheme more hide nothing of the key"
            )
        outputs = self.decrypt_rows(result, request=request, index=index)
        report(outputs, "encode inputs like those of the calibration")
        return outputs

    def decrypt_rows(self, result: EncodedFile, *, request: str | None = None, index: Sequence[Label] = ()) -> Outputs:
        """Decode a result; only what it returns tells of rows that are lost."""
        if result.key_id != self.key_id:
            raise KeyMismatchError("the result is of another key set")
        if result.header.of != self._plan.fingerprint:
            raise KeyMismatchError("this is the result of another plan")
        wanted = request or self._last or self._noted()
        if not wanted:
            raise KeyMismatchError(
                "there is no note of the last rows that were encoded; say what the result answers with --request"
            )
        if wanted != result.answers:
            raise KeyMismatchError(
                f"this answers request {result.answers[:16]}, and not {wanted[:16]}; get the answer to that, or name "
                "the rows with --request"
            )
        values = {}
        for signature in self._plan.header.sent:
            tensor = result.tensors.get(signature.name)
            if tensor is None or tensor.planes.shape[2:] != (result.rows, *signature.shape):
                raise FileFormatError(f"the result has no output {signature.name!r} of the plan's shape")
            values[signature.name] = self._key.decode(tensor)
        bad: dict[int, str] = {}
        for name, each in values.items():
            finite = np.isfinite(each.reshape(len(each), -1)).all(axis=1)
            bad |= dict.fromkeys(np.flatnonzero(~finite).tolist(), f"{name!r} is not finite: a channel left its range")
        return finished(self._plan.header, values, bad, index=index)

    def trained(self, file: TrainedFile) -> dict[str, NDArray[np.float64]]:
        """The parameters that a training made, by the program's names.

        Raises
        ------
        KeyMismatchError
            They are of another key set or another plan.
        """
        self._check_trained(file)
        return {name: self._key.decode(tensor) for name, tensor in file.parameters.items()}

    def losses(self, file: TrainedFile) -> NDArray[np.float64]:
        """The loss of each step."""
        self._check_trained(file)
        return self._key.decode(Encoded(file.losses.planes))

    def _check_trained(self, file: TrainedFile) -> None:
        if file.header.key_id != self.key_id:
            raise KeyMismatchError("the trained parameters are of another key set")
        if file.header.of != self._plan.fingerprint:
            raise KeyMismatchError("the trained parameters are of another plan")

    def _remember(self, fingerprint: str) -> None:
        self._last = fingerprint
        if self._folder is not None:
            write_file(self._folder / NOTE, fingerprint.encode(), own=lambda _: True, kind="a note of hecc's")

    def _noted(self) -> str:
        if self._folder is None or not (self._folder / NOTE).is_file():
            return ""
        return read_regular(self._folder / NOTE, 64).decode("ascii", errors="replace")


def _elsewhere(rows: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Another row for each row, in no order: a random cycle."""
    order = random.permutation(rows)
    found = np.empty(rows, dtype=np.int64)
    found[order] = np.roll(order, 1)
    return found
