"""The ledger: how often test items were looked at, kept in one small SQLite file outside every run.

Only counting lives here. What a look is for and what follows from its result is the business of `decision`; the
levels rest on one rule: look j on a pool of test items may err with probability 0.05 / 2^j, so all of them together
err with less than 0.05.

What shares a count. Items that were ever looked at together belong to one pool, and a split that touches several
pools joins them. This is the cautious reading of "overlapping splits share it": it is transitive, so a test split that
slides forward by half each time (A, then half of A with new items, then none of A) never starts anew, nor does one that
grows. Joined pools add their counts. Only a split without a single item of any pool begins at look 1.

A look is written down before anything is scored, and is never removed: a process killed in between has still looked.
The same artefacts asked the same question on the same items are the same look, whoever asks: its results are returned
if they are there, and may be filled in if they are not.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from rung.errors import RungError
from rung.types import Example, digest

PROMISE = 0.05
"""The probability of ever recommending wrongly, over all looks on a pool of items."""

_APPLICATION = 0x52554E47  # "RUNG", so that another program's file is never taken for a ledger
_VERSION = 1
_WAIT_S = 60.0
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (item TEXT PRIMARY KEY, pool INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_by_pool ON items (pool);
CREATE TABLE IF NOT EXISTS splits (split TEXT PRIMARY KEY, size INTEGER NOT NULL, pool INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looks (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, guard_number INTEGER NOT NULL, pool INTEGER NOT NULL,
    guard_pool INTEGER NOT NULL, artefacts TEXT NOT NULL, question TEXT NOT NULL, run TEXT NOT NULL,
    purpose TEXT NOT NULL, reserved TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS looks_by_pool ON looks (pool);
CREATE INDEX IF NOT EXISTS looks_by_guard_pool ON looks (guard_pool);
CREATE TABLE IF NOT EXISTS results (
    key TEXT NOT NULL, artefact TEXT NOT NULL, result TEXT NOT NULL, completed TEXT NOT NULL,
    PRIMARY KEY (key, artefact)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retired (item TEXT PRIMARY KEY, why TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
"""


def look_level(number: int) -> float:
    """The one-sided error probability of look `number` = 1, 2, ...: 0.05 / 2^number. Their sum stays below 0.05."""
    if number < 1:
        raise ValueError(f"looks are counted from 1, not {number}")
    return PROMISE / 2.0**number if number < 1000 else 0.0


def item_keys(examples: Iterable[Example], scope: str = "") -> frozenset[str]:
    """What the ledger knows test items by: a hash of what the item asks, its messages and choices.

    Answers, ids and meta are left out, so that a corrected label does not make an item fresh again. Guard items take
    the task's name as `scope`: a guard shared by several tasks is counted for each of them alone.
    """
    keys = set()
    for example in examples:
        turns = [[m.role, m.content] for m in example.prompt]
        asked: list[Any] = [turns, sorted(example.choices)]
        if not any(message.content for message in example.prompt):
            asked.append(list(example.answers))
        keys.add(digest([scope, *asked]))
    return frozenset(keys)


def default_path() -> Path:
    """`$RUNG_LEDGER`, or the user's data folder: one ledger for everything this user climbs."""
    named = os.environ.get("RUNG_LEDGER")
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return folder / "rung" / "ledger.sqlite"


@dataclass(frozen=True)
class Look:
    """One look: which artefacts were scored, on which count, and what came out (artefact digest to JSON value)."""

    key: str
    number: int
    guard_number: int
    artefacts: tuple[str, ...]
    question: str
    run: str
    purpose: str
    reserved: str
    results: Mapping[str, Any]

    @property
    def level(self) -> float:
        """The error probability this look may spend on the goal."""
        return look_level(self.number)

    @property
    def guard_level(self) -> float:
        """The same for guards. Guard items may have been looked at more often than the test items."""
        return look_level(max(self.number, self.guard_number))


@dataclass(frozen=True)
class Merged:
    """What a merge brought: new looks, looks both files knew, and results that differed (ours were kept)."""

    new: int
    known: int
    conflicts: int


class Ledger:
    """An open ledger. Use it as a context manager, or call `close`."""

    def __init__(self, path: Path | str | None = None, *, follow: bool = True) -> None:
        """Opens the ledger at `path` (default: `default_path()`), making it if needed; `":memory:"` keeps it unsaved.

        A ledger that was moved away is followed to its new place. Raises RungError where the file is no ledger, comes
        from a newer Rung, or cannot be written.
        """
        self._connection: sqlite3.Connection | None = None
        self.path = str(default_path() if path is None else Path(path).expanduser())
        self._open()
        seen = {self.path}
        while follow and (target := self._moved_to()) is not None:
            self.close()
            if target in seen or not Path(target).exists():
                raise RungError(
                    f"the ledger moved to {target}, which is not there",
                    where=self.path,
                    mend="put it back, or name the right file in RUNG_LEDGER",
                )
            seen.add(target)
            self.path = target
            self._open()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file. Closing twice is fine."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- counting --------------------------------------------------------------------------------------------------------

    def looks(self, items: Iterable[str]) -> int:
        """How many looks these items, or any item ever looked at together with them, have had."""
        with self._transaction(write=False):
            return self._count(self._pools(frozenset(items)))

    def find(
        self, items: Iterable[str], artefacts: Sequence[str], *, question: str = "", guards: Iterable[str] = ()
    ) -> Look | None:
        """The look that these artefacts already had on these items with this question, or None."""
        with self._transaction(write=False):
            return self._read(_key(frozenset(items), frozenset(guards), artefacts, question))

    def reserve(
        self,
        items: Iterable[str],
        artefacts: Sequence[str],
        *,
        question: str = "",
        guards: Iterable[str] = (),
        run: str = "",
        purpose: str = "",
    ) -> Look:
        """Writes down a look at `items` (keys of the test items) and `guards` (of the guards' items), then returns it.

        `artefacts` are the digests to be scored, in the order of testing; `question` says what else the claim depends
        on (metric, goal, margins). Call this before anything is scored. The same call again, from any run or process,
        returns the same look with what is known of its results: a cached repeat is free, and an unfinished look is
        finished under its own number. Raises RungError where items were retired by being shown.
        """
        tested, guarded = frozenset(items), frozenset(guards)
        if not tested or not artefacts:
            raise ValueError("a look needs test items and an artefact")
        if len(set(artefacts)) != len(artefacts):
            raise ValueError("an artefact is listed twice in one look")
        key = _key(tested, guarded, artefacts, question)
        with self._transaction(write=True) as database:
            known = self._read(key)
            if known is not None:
                return known
            self._refuse_shown(tested, "test")
            self._refuse_shown(guarded, "guard")
            guard_pool = self._join(guarded) if guarded else 0
            pool = self._join(tested)
            if guarded:
                guard_pool = self._join(guarded)  # joining the test items may have moved it
            row = (
                key,
                1 + self._count({pool}),
                1 + self._count({guard_pool}) if guarded else 1,
                pool,
                guard_pool,
                json.dumps(list(artefacts)),
                question,
                run,
                purpose,
                _now(),
            )
            database.execute("INSERT INTO looks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            look = self._read(key)
        assert look is not None
        return look

    def complete(self, look: Look, artefact: str, result: Any) -> Any:
        """Stores what scoring `artefact` gave (JSON-ready) and returns the result that stands.

        The first result of an artefact stands for good: were a second one taken, the better of two could be chosen.
        """
        if artefact not in look.artefacts:
            raise ValueError(f"artefact {artefact} is not part of look {look.number}")
        text = json.dumps(result, sort_keys=True, allow_nan=False)
        with self._transaction(write=True) as database:
            if self._read(look.key) is None:
                raise ValueError(f"look {look.key} was not reserved in this ledger")
            database.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)", (look.key, artefact, text, _now()))
            stored = database.execute(
                "SELECT result FROM results WHERE key = ? AND artefact = ?", (look.key, artefact)
            ).fetchone()
        return json.loads(stored[0])

    # -- retiring --------------------------------------------------------------------------------------------------------

    def retire(self, items: Iterable[str], why: str) -> int:
        """Marks items as shown, for good; returns how many are newly retired.

        A split with a retired item carries no further look. Looks reserved before stay valid: what they tested was
        fixed before the rows were seen.
        """
        with self._transaction(write=True) as database:
            before = database.total_changes
            rows = [(item, why, _now()) for item in sorted(set(items))]
            database.executemany("INSERT OR IGNORE INTO retired VALUES (?, ?, ?)", rows)
            return database.total_changes - before

    def retired(self, items: Iterable[str]) -> Mapping[str, str]:
        """Which of these items were shown, and why."""
        with self._transaction(write=False):
            return dict(self._among("SELECT item, why FROM retired WHERE item IN", frozenset(items)))

    def refuse_shown(self, items: Iterable[str], guards: Iterable[str] = ()) -> None:
        """Raises RungError where test or guard items were retired: before anything is built for a look at them."""
        with self._transaction(write=False):
            self._refuse_shown(frozenset(items), "test")
            self._refuse_shown(frozenset(guards), "guard")

    def _refuse_shown(self, items: frozenset[str], split: str) -> None:
        shown = list(self._among("SELECT item, why FROM retired WHERE item IN", items))
        if shown:
            raise RungError(
                f"{len(shown)} of {len(items)} {split} items were shown ({shown[0][1]}) and can carry no decision",
                where=f"{split} split",
                mend="replace them by examples that nobody has looked at",
            )

    # -- the whole file --------------------------------------------------------------------------------------------------

    def history(self) -> tuple[Look, ...]:
        """Every look, oldest first."""
        with self._transaction(write=False) as database:
            keys = [row[0] for row in database.execute("SELECT key FROM looks ORDER BY reserved, number, key")]
            return tuple(look for key in keys if (look := self._read(key)) is not None)

    def export(self, path: Path | str) -> None:
        """Writes a copy that `merge` can read on another machine. An existing file is never overwritten."""
        target = Path(path)
        if target.exists():
            raise RungError("the file is already there", where=str(target), mend="choose another name")
        partial = target.with_name(target.name + ".partial")
        with self._told():
            partial.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = sqlite3.connect(partial)
            try:
                self._database.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            finally:
                copy.close()
            partial.replace(target)

    def merge(self, path: Path | str) -> Merged:
        """Takes in every look, result and retired item of another ledger file. Merging twice changes nothing.

        A look that both know keeps the smaller number, the error it may really have spent. Looks taken apart on two
        machines may share a number; every later look counts them all.
        """
        if not Path(path).exists():
            raise RungError("there is no such file", where=str(path), mend="name an exported ledger")
        with Ledger(path, follow=False) as other, other._transaction(write=False) as source:
            content = {
                table: source.execute(f"SELECT * FROM {table}").fetchall()
                for table in ("items", "splits", "looks", "results", "retired")
            }
        with self._transaction(write=True):
            return self._take_in(content)

    def move(self, path: Path | str) -> None:
        """Moves the ledger to `path` and goes on there, merging into a ledger that is there already.

        The old file stays behind as a signpost: it is followed by whoever opens it and refused by whoever has it open.
        """
        if self.path == ":memory:":
            raise ValueError("a ledger in memory has no place to move from; export it")
        target = Path(path).expanduser().resolve()
        if target == Path(self.path).resolve():
            return
        with self._transaction(write=True) as old:
            with Ledger(target, follow=False) as new:
                with new._told():
                    new._database.execute("DELETE FROM meta WHERE name = 'moved'")
                new.merge(self.path)
            old.execute("INSERT OR REPLACE INTO meta VALUES ('moved', ?)", (str(target),))
        self.close()
        self.path = str(target)
        self._open()

    def _take_in(self, content: Mapping[str, list[tuple[Any, ...]]]) -> Merged:
        """Adds the rows of another ledger inside an open transaction."""
        database = self._database
        members: dict[int, set[str]] = {}
        for item, pool in content["items"]:
            members.setdefault(pool, set()).add(item)
        for items in members.values():
            self._join_pools(frozenset(items))
        first = {pool: min(items) for pool, items in members.items()}

        def ours(pool: int) -> int:
            if pool not in first:
                return 0
            found = database.execute("SELECT pool FROM items WHERE item = ?", (first[pool],)).fetchone()
            return int(found[0])

        for split, size, pool in content["splits"]:
            database.execute("INSERT OR IGNORE INTO splits VALUES (?, ?, ?)", (split, size, ours(pool)))
        new = 0
        for key, number, guard_number, pool, guard_pool, *rest in content["looks"]:
            row = (key, number, guard_number, ours(pool), ours(guard_pool), *rest)
            new += database.execute("INSERT OR IGNORE INTO looks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row).rowcount
            database.execute(
                "UPDATE looks SET number = min(number, ?), guard_number = min(guard_number, ?) WHERE key = ?",
                (number, guard_number, key),
            )
        conflicts = 0
        for key, artefact, result, completed in content["results"]:
            row = (key, artefact, result, completed)
            if not database.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)", row).rowcount:
                query = "SELECT result FROM results WHERE key = ? AND artefact = ?"
                conflicts += database.execute(query, (key, artefact)).fetchone()[0] != result
        database.executemany("INSERT OR IGNORE INTO retired VALUES (?, ?, ?)", content["retired"])
        return Merged(new, len(content["looks"]) - new, conflicts)

    # -- pools -----------------------------------------------------------------------------------------------------------

    def _pool_of(self, items: frozenset[str]) -> int | None:
        found = self._database.execute("SELECT pool FROM splits WHERE split = ?", (_split(items),)).fetchone()
        return None if found is None else int(found[0])

    def _pools(self, items: frozenset[str]) -> set[int]:
        """The pools that hold any of these items."""
        known = self._pool_of(items)
        if known is not None:
            return {known}
        return {int(row[0]) for row in self._among("SELECT DISTINCT pool FROM items WHERE item IN", items)}

    def _count(self, pools: set[int]) -> int:
        """Looks that touched any of these pools, as test items or as guard items."""
        marks = ", ".join("?" * len(pools))
        query = f"SELECT count(*) FROM looks WHERE pool IN ({marks}) OR guard_pool IN ({marks})"
        return int(self._database.execute(query, [*pools, *pools]).fetchone()[0]) if pools else 0

    def _join(self, items: frozenset[str]) -> int:
        """The one pool of these items from now on, remembered for this very split."""
        known = self._pool_of(items)
        if known is not None:
            return known
        pool = self._join_pools(items)
        self._database.execute("INSERT INTO splits VALUES (?, ?, ?)", (_split(items), len(items), pool))
        return pool

    def _join_pools(self, items: frozenset[str]) -> int:
        """Makes one pool of every pool these items touch, and puts the new items into it."""
        database = self._database
        pools = sorted({int(row[0]) for row in self._among("SELECT DISTINCT pool FROM items WHERE item IN", items)})
        if pools:
            pool = pools[0]
        else:
            pool = 1 + int(database.execute("SELECT coalesce(max(pool), 0) FROM items").fetchone()[0])
        for other in pools[1:]:
            for table, column in (("items", "pool"), ("splits", "pool"), ("looks", "pool"), ("looks", "guard_pool")):
                database.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (pool, other))
        database.executemany("INSERT OR IGNORE INTO items VALUES (?, ?)", [(item, pool) for item in sorted(items)])
        return pool

    def _among(self, query: str, items: frozenset[str]) -> Iterator[tuple[Any, ...]]:
        """Rows of `query ... IN (items)`, a few hundred items at a time."""
        ordered = sorted(items)
        for start in range(0, len(ordered), 500):
            part = ordered[start : start + 500]
            yield from self._database.execute(f"{query} ({', '.join('?' * len(part))})", part).fetchall()

    def _read(self, key: str) -> Look | None:
        row = self._database.execute("SELECT * FROM looks WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        found = self._database.execute("SELECT artefact, result FROM results WHERE key = ?", (key,)).fetchall()
        results = {artefact: json.loads(text) for artefact, text in found}
        return Look(row[0], row[1], row[2], tuple(json.loads(row[5])), row[6], row[7], row[8], row[9], results)

    # -- the connection --------------------------------------------------------------------------------------------------

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError(f"the ledger {self.path} is closed")
        return self._connection

    def _open(self) -> None:
        with self._told():
            if self.path != ":memory:":
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
            self._prepare(self._connection)

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Makes the tables of a new file; checks the marks of an old one."""
        database.execute("BEGIN")  # one moment for all three, in case another process is making the tables
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        application = int(database.execute("PRAGMA application_id").fetchone()[0])
        tables = int(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        database.execute("COMMIT")
        if application != _APPLICATION and tables:
            self.close()
            raise RungError("this is a database, but no ledger", where=self.path, mend="name another file")
        if version > _VERSION:
            self.close()
            raise RungError(
                f"the ledger has version {version}, newer than {_VERSION}", where=self.path, mend="upgrade rung"
            )
        database.execute("PRAGMA synchronous = FULL")  # a look may not be forgotten in a power cut
        if not tables:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(
                f"BEGIN IMMEDIATE;{_TABLES}PRAGMA application_id = {_APPLICATION};"
                f"PRAGMA user_version = {_VERSION};COMMIT;"
            )

    def _moved_to(self) -> str | None:
        with self._told():
            row = self._database.execute("SELECT value FROM meta WHERE name = 'moved'").fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """All or nothing. Writers queue at the start, so that no two can read the same count."""
        with self._told():
            database = self._database
            database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                if write and (target := self._moved_to()) is not None:
                    raise RungError(f"the ledger moved to {target}", where=self.path, mend="open it anew")
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what SQLite and the file system say into one line for the user."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InternalError):
                raise  # a defect of this file, not of the user's
            raise RungError(
                f"the ledger cannot be used: {error}",
                where=self.path,
                mend="name a file that can be written in RUNG_LEDGER",
            ) from error


@lru_cache(maxsize=64)
def _split(items: frozenset[str]) -> str:
    return digest(sorted(items))


def _key(items: frozenset[str], guards: frozenset[str], artefacts: Sequence[str], question: str) -> str:
    return digest([_split(items), _split(guards), list(artefacts), question])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
