"""A search as one page: what was found, how the best rose, which settings mattered, and every trial across them."""

from __future__ import annotations

from typing import Any

from rung.page import quantities as q
from rung.page.curves import Series, curves
from rung.page.document import card, document, pairs, row, section, table
from rung.page.marks import bars
from rung.page.markup import Html, Part, tag
from rung.page.scatter import Axis, Spot, parallel, scatter
from rung.train.search.importance import compared, importances
from rung.train.search.space import Range, Space
from rung.train.search.trials import Search, Settings, Trial


def render(found: Search, space: Space, *, title: str, score: str) -> str:
    """The page: self-contained, without scripts. `title` says what was searched for, `score` what was scored."""
    shares = importances(found, space)
    trials, ended = last_of(found), compared(found)
    lead = f"{title}: {written(found.chosen)}"
    early = sum(trial.budget < max(t.budget for t in trials) for trial in trials)
    facts: dict[str, Part] = {
        score: f"{found.score:.4f}",
        "trial": f"{found.index} of {len(trials)}",
        "ended early": q.count(early) if early else None,
    }
    parts: list[tuple[str, str, Html]] = [("rise", "The best so far", _rise(trials, score))]
    if shares:
        drawn = bars([(name, share, q.percent(share)) for name, share in shares.items()], "What mattered")
        told = "Share of the variance of scores that each setting explains alone (fANOVA), over trials trained as far."
        parts.append(
            ("mattered", "What mattered", section("mattered", "What mattered", card(tag("figure", drawn)), lead=told))
        )
    if ended:
        parts.append(("settings", "Settings", _settings(found, space, ended, score)))
    parts.append(("trials", "Trials", _table(trials, found, space, score)))
    top = card(tag("div", "search", class_="eyebrow"), tag("h1", lead), pairs(facts))
    return document(
        f"{title} · Rung", top, *[part for _, _, part in parts], sections={place: words for place, words, _ in parts}
    )


def last_of(found: Search) -> list[Trial]:
    """Each trial at the largest budget that it came to, by its number."""
    last = {trial.index: trial for trial in sorted(found.trials, key=lambda trial: trial.budget)}
    return [last[index] for index in sorted(last)]


def written(settings: Settings) -> str:
    """Settings in words: `learning_rate 0.0012, rank 8`."""
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rise(trials: list[Trial], score: str) -> Html:
    whole = max(trial.budget for trial in trials)
    every = [(float(t.index), t.score) for t in trials if t.score is not None and t.budget == whole]
    best = [(number, max(value for _, value in every[: place + 1])) for place, (number, _) in enumerate(every)]
    plot = curves(
        [Series("best so far", tuple(best)), Series("each trial", tuple(every))], title="The best so far",
        across_words="trials", write_value=lambda v: f"{v:.3g}", write_step=lambda v: f"{v:g}", size=(1020, 300),
    )  # fmt: skip
    return section("rise", "The best so far", card(tag("figure", plot)), lead=f"{score} of trials trained to the end.")


def _axis(name: str, part: Any) -> Axis:
    if isinstance(part, Range):
        return Axis(name, part.low, part.high, part.log)
    return Axis(name, names=tuple(_value(value) for value in part.values))


def _spot(trial: Trial, space: Space, best: int, score: str) -> Spot:
    values = [
        float(trial.settings[name]) if isinstance(part, Range) else float(part.values.index(trial.settings[name]))
        for name, part in space.items()
    ]
    assert trial.score is not None
    said = f"trial {trial.index}: {written(trial.settings)}; {score} {trial.score:.4f}"
    return Spot(tuple(values), trial.score, said, trial.index == best)


def _settings(found: Search, space: Space, ended: tuple[Trial, ...], score: str) -> Html:
    axes = [_axis(name, part) for name, part in space.items()]
    spots = [_spot(trial, space, found.index, score) for trial in ended]
    scores = [spot.score for spot in spots]
    slack = 0.05 * (max(scores) - min(scores)) or 0.01
    lines = parallel(axes, spots, score=Axis(score, min(scores) - slack, max(scores) + slack))
    slices = [
        card(tag("h3", axis.name), tag("figure", scatter(axis, n, spots, write_value=lambda v: f"{v:.3g}")))
        for n, axis in enumerate(axes)
    ]
    lead = "Each line and each dot is a trial; the chosen one is marked."
    return section("settings", "Settings", card(tag("figure", lines)), tag("div", *slices, class_="grid"), lead=lead)


def _table(trials: list[Trial], found: Search, space: Space, score: str) -> Html:
    rows = [
        row(
            trial.index, *(_value(trial.settings[name]) for name in space), q.count(trial.budget),
            "diverged" if trial.score is None else f"{trial.score:.4f}", class_="chosen" if trial.index == found.index else None,
            numbers=(len(space) + 1, len(space) + 2),
        )
        for trial in sorted(trials, key=lambda t: (-t.budget, -(t.score if t.score is not None else float("-inf"))))
    ]  # fmt: skip
    head = ["Trial", *space, "Steps", score]
    return section(
        "trials", "Trials", table(head, rows, caption="All trials", numbers=(len(space) + 1, len(space) + 2))
    )
