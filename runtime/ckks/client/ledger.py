"""The ledger of a key set: how many of its results have been disclosed, that is shown to others.

It is an SQLite database beside the secret key. A result is entered, and is on the disk, before it is handed out: one
transaction, with a rollback journal, whose file and whose folder are synchronised (``synchronous=EXTRA``). The content
is authenticated with a key that is derived from the secret key, so that it is not altered by accident or by somebody
who does not have that.

A ledger begins with its keys, and never later: where it is missing, results may have been shown, and nothing tells how
many. It does not bind whoever owns the key: a copy of the folder has a ledger of its own, and an older copy an older
one.

Counting is only as good as the locks that keep two processes from counting at once. Those of network file systems hold
on one machine or not at all, so there a ledger is refused; elsewhere a second process has to find the lock taken.

Plans that share a key set may allow different numbers of results. A result of a plan that allows Q spends one Q-th of
what may be told of the key (:mod:`hecc.runtime.ckks.disclosure`), and together they may spend all of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.keys.keyfiles import KeyId
from hecc.runtime.errors import DisclosureError, FileFormatError, InputError
from hecc.runtime.files import codec
from hecc.runtime.files.atomic import reading, replacing, writing
from hecc.runtime.plan.keyset import COUNTS

if TYPE_CHECKING:
    import sqlite3

__all__ = ["EARLIER", "LEDGER", "Ledger", "file_system"]

LEDGER, EARLIER = COUNTS
"""Name of the file, in the folder of the keys, and its name in earlier versions of hecc."""

MAX_BYTES = 1 << 22

WAIT = 30.0
"""Seconds that one process waits for another to enter its results."""

PROBE_SECONDS = 60.0
"""How long the process may take that has to find the lock taken."""

APPLICATION_ID, VERSION = 0x6865_6363, 1

_SCHEMA = (
    "CREATE TABLE page (key_id TEXT NOT NULL, mac TEXT NOT NULL)",
    "CREATE TABLE spent (plan TEXT NOT NULL UNIQUE, results INTEGER NOT NULL, shown INTEGER NOT NULL)",
)

_PROBE = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    sys.exit(3 if error.sqlite_errorcode & 255 == sqlite3.SQLITE_BUSY else 4)
"""
_TAKEN = 3

_NETWORK = re.compile(
    r"fuse\..*|9p|afs|beegfs|ceph|cifs|coda|gfs2?|glusterfs|gpfs|lustre|ncpfs|nfs\d?|ocfs2|orangefs|prl_fs|smb3?|smbfs"
    r"|vboxsf|virtiofs|vmhgfs"
)
"""Types of file systems that other machines may write to as well, or whose locks depend on a program."""


class _Spent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Results of one plan that were disclosed (``shown``), of ``results`` that it allows."""

    plan: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    results: Annotated[int, msgspec.Meta(ge=1)]
    shown: Annotated[int, msgspec.Meta(ge=1)]


class _Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key_id: KeyId
    plans: tuple[_Spent, ...]
    mac: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]


class Ledger:
    """The ledger beside a secret key.

    Parameters
    ----------
    folder
        Of the keys.
    key_id
        Of the key set.
    secret
        Residues of the secret key, from which the ledger's own key is derived.
    """

    def __init__(self, folder: Path, key_id: str, secret: NDArray[np.uint64]) -> None:
        self.path = folder / LEDGER
        self._key_id = key_id
        self._key = hmac.digest(np.ascontiguousarray(secret, dtype="<u8").tobytes(), b"hecc shared results", "sha256")

    def begin(self) -> None:
        """Write an empty ledger, when the keys are new; it takes the place of the one of older keys.

        Raises
        ------
        InputError
            It cannot be written.
        """
        with contextlib.closing(_sqlite().connect(":memory:", isolation_level=None)) as database:
            database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            database.execute(f"PRAGMA user_version={VERSION}")
            for statement in _SCHEMA:
                database.execute(statement)
            page = _Page(key_id=self._key_id, plans=(), mac="")
            database.execute("INSERT INTO page VALUES (?, ?)", (self._key_id, self._mac(page)))
            content = database.serialize()
        with replacing(self.path, secret=True) as file:
            file.write(content)
        self._sync_folder()

    def left(self, plan: str, results: int) -> int:
        """How many more results of a plan, by its fingerprint, may be disclosed; it allows ``results`` of a key.

        Raises
        ------
        DisclosureError
            There is no ledger.
        FileFormatError
            The ledger was altered, or belongs to another key set.
        InputError
            It cannot be read.
        """
        # What is read is of one moment, whatever others enter meanwhile.
        with self._open() as database, self._transaction(database, "DEFERRED"):
            return self._left(self._read(database), results)

    def spend(self, plan: str, results: int, number: int) -> None:
        """Enter ``number`` results of a plan, on the disk before this returns.

        Raises
        ------
        DisclosureError
            There are not so many left, or there is no ledger. Nothing is entered.
        FileFormatError
            The ledger was altered, or belongs to another key set.
        InputError
            It cannot be written, or lies where locks do not hold.
        """
        self._refuse_network()
        with self._open() as database, self._transaction(database):
            self._probe_lock()
            page = self._read(database)
            left = self._left(page, results)
            if number > left:
                raise DisclosureError(
                    f"{self.path}: {number} results to be disclosed, and {left} are left of the {results} that "
                    "the plan allows for one key; make new keys, or compile the plan for more results"
                )
            shown = {entry.plan: entry.shown for entry in page.plans}
            allowed = {entry.plan: entry.results for entry in page.plans} | {plan: results}
            shown[plan] = shown.get(plan, 0) + number
            entries = tuple(_Spent(plan=p, results=allowed[p], shown=shown[p]) for p in sorted(shown))
            entry = (plan, results, shown[plan])
            database.execute("INSERT OR REPLACE INTO spent (plan, results, shown) VALUES (?, ?, ?)", entry)
            page = _Page(key_id=self._key_id, plans=entries, mac="")
            database.execute("UPDATE page SET mac = ?", (self._mac(page),))
        self._sync_folder()

    @staticmethod
    def _left(page: _Page, results: int) -> int:
        spent = sum((Fraction(entry.shown, entry.results) for entry in page.plans), Fraction(0))
        return max(0, int((1 - spent) * results))

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The database, of which nothing is believed yet."""
        with reading(self.path):
            if (self.path.parent / EARLIER).exists():
                raise DisclosureError(
                    f"{self.path.parent / EARLIER}: a list of disclosed results by an earlier hecc, which this "
                    "one cannot go on with; make new keys"
                )
            if not self.path.is_file():
                raise DisclosureError(
                    f"{self.path}: the list of disclosed results is not here, which begins with keys that are "
                    "made for a plan with --disclose, so nothing tells how many were disclosed; restore it, or make "
                    "new keys for this plan"
                )
            if self.path.stat().st_size > MAX_BYTES:
                raise self._altered()
        sqlite = _sqlite()
        try:
            uri = f"{self.path.resolve().as_uri()}?mode=rw"
            with contextlib.closing(sqlite.connect(uri, uri=True, timeout=WAIT, isolation_level=None)) as database:
                # Nothing that a forged file defines is run.
                for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "synchronous=EXTRA", "fullfsync=ON"):
                    database.execute(f"PRAGMA {pragma}")
                if database.execute("PRAGMA journal_mode=DELETE").fetchone() != ("delete",):
                    raise self._altered()
                yield database
        except sqlite.DatabaseError as error:
            raise self._failure(error, sqlite) from None

    @contextlib.contextmanager
    def _transaction(self, database: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
        """All or nothing, and no other process between reading and writing."""
        database.execute(f"BEGIN {kind}")
        try:
            yield
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def _read(self, database: sqlite3.Connection) -> _Page:
        known = [(sql,) for sql in _SCHEMA] + [(None,)]  # the index of the unique plans
        identity = [_all(database, f"PRAGMA {name}") for name in ("application_id", "user_version")]
        if identity != [[(APPLICATION_ID,)], [(VERSION,)]] or _all(database, "SELECT sql FROM sqlite_master") != known:
            raise self._altered()
        heads = _all(database, "SELECT key_id, mac FROM page LIMIT 2")
        rows = _all(database, "SELECT plan, results, shown FROM spent ORDER BY plan")
        try:
            ((key_id, mac),) = heads
            plans = [{"plan": plan, "results": results, "shown": shown} for plan, results, shown in rows]
            page = msgspec.convert({"key_id": key_id, "plans": plans, "mac": mac}, _Page)
        except (ValueError, msgspec.ValidationError):
            raise self._altered() from None
        unsigned = msgspec.structs.replace(page, mac="")
        if page.key_id != self._key_id or not hmac.compare_digest(page.mac, self._mac(unsigned)):
            raise self._altered()
        return page

    def _mac(self, page: _Page) -> str:
        return hmac.new(self._key, codec.encode(page), hashlib.sha256).hexdigest()

    def _altered(self) -> FileFormatError:
        return FileFormatError(
            f"{self.path}: the list of disclosed results was altered, or belongs to other keys; restore it, "
            "or make new keys"
        )

    def _failure(self, error: Exception, sqlite: ModuleType) -> FileFormatError | InputError:
        """What SQLite refuses as a sentence."""
        code = getattr(error, "sqlite_errorcode", sqlite.SQLITE_CORRUPT) & 255
        if code == sqlite.SQLITE_BUSY:
            return InputError(f"{self.path}: other processes hold it for over {WAIT:.0f} seconds; try again")
        if code in (sqlite.SQLITE_NOTADB, sqlite.SQLITE_CORRUPT, sqlite.SQLITE_ERROR):
            return self._altered()
        return InputError(f"{self.path}: cannot be written ({error}); check the folder and the free space")

    def _refuse_network(self) -> None:
        kind = file_system(self.path.parent)
        if _NETWORK.fullmatch(kind):
            raise InputError(
                f"{self.path}: lies on a file system of type {kind}, where no lock keeps two machines from counting at "
                "once; move the keys to a disk of this machine"
            )

    def _probe_lock(self) -> None:
        """Another process has to find the database locked, while this one holds it."""
        command = [sys.executable, "-I", "-S", "-c", _PROBE, str(self.path.resolve())]
        try:
            ended = subprocess.run(  # noqa: S603 - of our own words
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False
            ).returncode
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(
                f"{self.path}: the process that has to find it locked could not be run ({error}); nothing is disclosed "
                "without that, so let this Python start another"
            ) from None
        if ended != _TAKEN:
            raise InputError(
                f"{self.path}: a second process did not find it locked, so that results could be counted wrongly; move "
                "the keys to a disk of this machine whose file system has locks"
            )

    def _sync_folder(self) -> None:
        if os.name == "posix":
            with writing(self.path):
                handle = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on; empty where the system does not say."""
    found, longest = "", -1
    where = os.path.realpath(folder)
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            before, _, after = line.partition(" - ")
            # Spaces and the like are written as octal numbers.
            mounted = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), before.split(" ")[4])
            # Of two mounts at one place the later one is seen.
            if os.path.commonpath([where, mounted]) == mounted and len(mounted) >= longest:
                found, longest = after.split(" ")[0], len(mounted)
    return found


def _sqlite() -> ModuleType:
    """Python's module, loaded by those who disclose results only; some builds of Python leave it out."""
    try:
        import sqlite3
    except ImportError:
        raise InputError(
            "disclosed results are counted in an SQLite database, and this Python was built without SQLite; use "
            "another one"
        ) from None
    return sqlite3


def _all(database: sqlite3.Connection, query: str) -> list[Any]:
    return database.execute(query).fetchall()
