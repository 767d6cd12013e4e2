"""Scoring one System on one task, outside a climb: what `rung eval` does.

Validation is free. Test costs a look, which is written to the ledger before anything is scored; the numbers that come
back then carry the bound of that look. Measures and judges ask more of the rows than a look covers: validation only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from rung import stats
from rung.errors import RungError
from rung.evaluate import Evaluation, evaluate
from rung.evaluate.judging import Rubric, grade
from rung.evaluate.judging.rubric import RUBRIC
from rung.evaluate.measures import Settings, Words, measure
from rung.ladder.assemble import item_of
from rung.ladder.compare.files import check_folder
from rung.ladder.detecting import detector_named
from rung.ladder.examined import Examined
from rung.ladder.examined_page import render
from rung.ladder.judging import Judging
from rung.ladder.kept import Kept, keep
from rung.ladder.ledger import Ledger, Look, item_keys
from rung.ladder.meter import Meter
from rung.ladder.named import artefact_of, is_endpoint, precision_of, system_named
from rung.ladder.question import LookResult
from rung.ladder.samples import scheme_of
from rung.run import dump_json, write_atomic
from rung.system.bundle import Saved
from rung.task import Task
from rung.types import System, digest


@dataclass(frozen=True)
class Wanted:
    """What is asked for beyond the scores: measures with their word lists and classifiers, a judge, a folder; `dtype` is
    what a model (no saved System) is held in."""

    measures: bool = False
    words: Path | None = None
    misspellings: Path | None = None
    toxicity: str | None = None
    pii: str | None = None
    seed: int = 0
    judging: Judging | None = None
    out: Path | None = None
    dtype: str = "auto"

    def check(self, test: bool) -> None:
        """Raises RungError for what does not go together, before anything is scored."""
        of_measures = {
            "--words": self.words, "--misspellings": self.misspellings, "--toxicity": self.toxicity, "--pii": self.pii,
        }  # fmt: skip
        for option, value in of_measures.items():
            if value is not None and not self.measures:
                raise RungError("belongs to the measures", where=option, mend="add --measures")
        for option, asked in (("--measures", self.measures), ("--judge", self.judging is not None)):
            if test and asked:
                raise RungError(
                    "is for validation rows: more than one look covers", where=option, mend="leave out --test"
                )
        if self.out is not None:
            check_folder(self.out)

    def settings(self) -> Settings:
        """Word lists read and classifiers loaded."""
        words = Words() if self.words is None else Words.read(self.words)
        words = words if self.misspellings is None else words.misspelt(self.misspellings)
        named = {"toxicity": self.toxicity, "pii": self.pii}
        detectors = {finds: detector_named(finds, name) for finds, name in named.items() if name is not None}
        return Settings(words, detectors, self.seed)


def examine(
    system: str | Path,
    task_file: Path,
    *,
    test: bool = False,
    rung: str | None = None,
    base: str | None = None,
    rows: Path | None = None,
    ledger: Path | None = None,
    wanted: Wanted | None = None,
) -> Examined:
    """Score a System (a bundle, a run, a model, URL#MODEL) on validation, or with `test` on test, which spends a look.

    `rows` names a new file for every row, `wanted.out` a new folder for all of it. Raises RungError where either is
    there already, before anything is scored.
    """
    wanted = wanted or Wanted()
    if rows is not None and rows.exists():
        raise RungError("is there already", where=str(rows), mend="name another with --rows")
    if rows is not None and not rows.parent.is_dir():
        raise RungError("there is no such folder", where=str(rows.parent), mend="make it, or name another with --rows")
    wanted.check(test)
    task = Task.load(task_file)
    named = system_named(system, instruction=(*task.instructions, "")[0], rung=rung, base=base, dtype=wanted.dtype)
    if test:
        done, found = _tested(named, task, str(system), ledger)
    else:
        done, found = _validated(named, task, wanted)
    found = replace(found, precision=precision_of(named))
    if rows is not None:
        write_atomic(rows, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in done.rows()))
    if wanted.out is not None:
        _write(wanted.out, named, str(system), task, done, found)
    return found


def _validated(system: System, task: Task, wanted: Wanted) -> tuple[Evaluation, Examined]:
    if not task.validation:
        raise RungError("the task has no validation rows", where=task.name, mend="give a validation split")
    # What else is named is read first: a slip in it is told before anything is spent.
    settings = wanted.settings() if wanted.measures else None
    judge = None if wanted.judging is None else wanted.judging.system()
    rubric = Rubric.of(wanted.judging.template(RUBRIC)) if wanted.judging else None
    labels = wanted.judging.labels() if wanted.judging else {}
    with Meter() as meter:
        done = evaluate(system, task, "validation")
    found = _examined(task, "validation", done)
    if settings is not None:
        found = replace(found, measures=measure(system, task, done, settings, peak_memory=meter.peak))
    if judge is not None:
        scheme = stats.Scheme(scheme_of(task, done.examples).groups)
        graded = grade(judge, done.examples, done.completions, rubric=rubric, scheme=scheme, labels=labels)
        found = replace(found, grading=graded)
    return done, found


def _tested(system: System, task: Task, name: str, ledger: Path | None) -> tuple[Evaluation, Examined]:
    with Ledger(ledger) as book:
        done, stands, look = _look(system, task, name, book)
    done = replace(done, score=stands.score)
    lower = stats.lower(done.score, look.level, scheme_of(task, task.test)) if _carries(task, done) else None
    return done, _examined(task, "test", done, look, lower)


def _look(system: System, task: Task, name: str, book: Ledger) -> tuple[Evaluation, LookResult, Look]:
    """Reserve the look, score, and take the result that stands: the first of this artefact on these items."""
    artefact = artefact_of(system)
    look = book.reserve(
        item_keys(task.test),
        [artefact],
        question=digest([task.metric, "eval"]),
        run=artefact,
        purpose=f"eval: {system.folder.parent.name if isinstance(system, Saved) else name}",
    )
    done = evaluate(system, task, "test")
    stored = look.results.get(artefact)
    if stored is None:
        stored = book.complete(look, artefact, LookResult(done.score, done.error_share).to_json())
    return done, LookResult.from_json(stored), look


def _carries(task: Task, done: Evaluation) -> bool:
    scheme = scheme_of(task, done.examples)
    return stats.refusal(done.score.kind, len(done.score), scheme.groups, scheme.least) is None


def _examined(
    task: Task, split: str, done: Evaluation, look: Look | None = None, lower: float | None = None
) -> Examined:
    scheme = scheme_of(task, done.examples)
    low, high = stats.shown(done.score, scheme) or (None, None)
    return Examined(
        task.name, split, task.metric, stats.estimate(done.score, scheme), low, high, len(done.score), sum(done.errors),
        {name: score.value for name, score in done.also.items()},
        None if look is None else look.number, None if look is None else look.level, lower,
    )  # fmt: skip


def _write(folder: Path, system: System, name: str, task: Task, done: Evaluation, found: Examined) -> None:
    """The evaluation as a folder that `rung compare` reads, with a page; `evaluation.json` last, as all is then there."""
    items = tuple(item_of(example) for example in done.examples)
    called = name.rpartition("#")[2] if is_endpoint(name) else folder.resolve().name
    kept = Kept(
        called, task.name, task.kind, task.metric, found.split, task.labels, items, done.completions, found.precision
    )
    write_atomic(folder / "scores.json", dump_json(found.to_json()))
    write_atomic(folder / "report.html", render(found, kept))
    keep(kept, folder)
