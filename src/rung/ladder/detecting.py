"""A classifier for the toxicity measure by its name on the command line, with the error that its own climb measured."""

from __future__ import annotations

from pathlib import Path

from rung.errors import RungError
from rung.evaluate.measures.toxicity import UNKNOWN, Detector
from rung.ladder.climb import Climb
from rung.ladder.named import is_endpoint, system_named
from rung.ladder.record import ConfusionRecord, RungEntry
from rung.run import IDENTITY
from rung.system.bundle import Saved

FINDS = {
    "toxicity": ("toxic", "harmless", "Is this text toxic: insulting, hateful, threatening or obscene?"),
    "pii": ("personal", "none", "Does this text hold personal data: a name with a phone number, address or account?"),
}
"""What each detector looks for: the label that is flagged, the other one, and the question to a System without labels."""


def detector_named(finds: str, name: str) -> Detector:
    """The detector of `NAME` or, where the label that is flagged has another name, `NAME@LABEL`.

    Without a label the one is taken that begins like what is looked for (`toxic`, `personal`). Raises RungError where
    a System's labels hold none such.
    """
    place, _, label = name.rpartition("@") if "@" in name else (name, "", "")
    flagged, other, question = FINDS[finds]
    system = system_named(place, instruction=question)
    labels = system.defaults.choices if isinstance(system, Saved) else ()
    labels = labels or (flagged, other)
    found = label or next((one for one in labels if one.casefold().startswith(flagged)), None)
    if found is None or found not in labels:
        known = ", ".join(labels)
        raise RungError(f"has no label {found or flagged}", where=place, mend=f"write {place}@LABEL: {known}")
    error = "" if is_endpoint(place) else _known_error(Path(place), found)
    return Detector(place, system, found, labels, known_error=error or UNKNOWN)


def _known_error(place: Path, label: str) -> str:
    """What the climb that made a System found of it; empty where no climb is there to tell."""
    run, rung = (
        (place, None) if (place / IDENTITY).is_file() else (place.resolve().parents[2], place.resolve().parent.name)
    )
    if not (run / IDENTITY).is_file():
        return ""
    climb = Climb.open(run)
    entry = climb.report.entry(rung or str(climb.recommended))
    metric, words = climb.report.task.metric, []
    if entry.test is not None:
        seen = entry.test
        words.append(
            f"{metric} {seen.value:.3f} on {seen.count:,} test rows, at least {seen.lower:.3f} ({1 - seen.level:.2%} sure)"
        )
    elif entry.validation is not None:
        words.append(f"{metric} {entry.validation.value:.3f} on {entry.validation.count:,} validation rows")
    words += _rates(entry, label)
    return "; ".join(words)


def _rates(entry: RungEntry, label: str) -> list[str]:
    """How much it misses and how much it flags wrongly, on validation."""
    record: ConfusionRecord | None = entry.confusion
    if record is None or label not in record.labels:
        return []
    table, at = record.matrix(), record.labels.index(label)
    positives, negatives = sum(table[at]), sum(map(sum, table)) - sum(table[at])
    missed = positives - table[at][at]
    wrongly = sum(row[at] for place, row in enumerate(table) if place != at)
    return [f"on validation it misses {missed} of {positives} and wrongly flags {wrongly} of {negatives}"]
