"""How the rungs came about: learning curves, the settings tried, and the plan's forecasts beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from rung.ladder.record import BreakEven, RungEntry, Trial
from rung.ladder.report.view import View, settings
from rung.page import quantities as q
from rung.page.document import card, row, section, table
from rung.page.markup import Html, Part, join, tag
from rung.page.plots import curve

# -- curves and trials -------------------------------------------------------------------------------------------------


def training_section(view: View) -> Html | None:
    """A card for each rung that learned or searched."""
    cards = [_card(view, rung) for rung in view.rungs if len(_steps(rung)) > 1 or rung.trials]
    if not cards:
        return None
    lead = "Settings were chosen on validation. Loss is in nats a token; the ringed point is the best."
    return section("training", "Training and search", tag("div", cards, class_="grid"), lead=lead)


def _steps(rung: RungEntry) -> list[int]:
    return [point.step for point in rung.curve]


def _card(view: View, rung: RungEntry) -> Html:
    losses = [(float(point.step), point.loss) for point in rung.curve if point.loss is not None]
    scores = [(float(point.step), point.score) for point in rung.curve if point.score is not None]
    parts: list[Part] = [tag("h3", rung.name)]
    if rung.settings:
        parts.append(tag("p", settings(rung.settings), class_="small soft"))
    if len(losses) > 1:
        drawn = curve(
            losses, title=f"{rung.name}: training loss", write_value=lambda v: q.plain(v, 2), write_step=q.count
        )
        parts += [tag("p", "Loss over steps", class_="small soft"), drawn]
    if len(scores) > 1:
        best = max(scores, key=lambda point: (point[1], -point[0]))[0]
        drawn = curve(
            scores,
            title=f"{rung.name}: validation score",
            write_value=view.scores.tick,
            write_step=q.count,
            marked=best,
        )
        parts += [tag("p", f"{view.report.task.metric} on validation over steps", class_="small soft"), drawn]
    if rung.trials:
        parts.append(_trials(view, rung.trials))
    return card(*parts)


def _trials(view: View, trials: Sequence[Trial]) -> Html:
    several = len({trial.stage for trial in trials}) > 1
    ordered = sorted(trials, key=lambda trial: (-trial.stage, -(trial.score if trial.score is not None else -1e9)))
    rows = []
    for trial in ordered:
        note = f"round {trial.stage + 1}" if several else ""
        budget = " · ".join(part for part in (note, trial.budget) if part)
        name = join(
            tag("span", settings(trial.settings, 90) or "as it is", class_="said"),
            tag("small", budget) if budget else None,
        )
        kept = tag("span", "kept", class_="badge meets") if trial.kept else None
        rows.append(row(name, view.scores.value(trial.score), kept, numbers=(1,)))
    body = table(["Settings tried", view.report.task.metric, ""], rows, caption="Settings tried", numbers=(1,))
    if len(rows) <= 6:
        return tag("div", body, class_="below")
    return tag("details", tag("summary", f"{len(rows)} trials"), body, class_="more")


# -- the plan and what came of it --------------------------------------------------------------------------------------


def forecast_section(view: View) -> Html | None:
    """Predicted and measured memory and time, side by side."""
    rungs = [rung for rung in view.rungs if rung.forecast is not None]
    if not rungs:
        return None
    rows = [_forecast(rung) for rung in rungs]
    head = ["Rung", "Memory planned", "measured", "Adapting planned", "measured", "Answer planned", "measured"]
    body = table(head, rows, caption="Planned and measured", numbers=range(1, 7))
    lead = (
        "What the plan said before anything was spent, beside what the machine then measured, and the quotient of both."
    )
    return section("plan", "Planned and measured", body, lead=lead)


def _forecast(rung: RungEntry) -> Html:
    planned, found = rung.forecast, rung.measured
    assert planned is not None
    memory = found.peak_memory if found else None
    adapting = found.train_seconds if found else None
    latency = found.latency_s if found else None
    return row(
        rung.name,
        q.memory(planned.memory), _against(q.memory(memory), planned.memory, memory),
        q.seconds(planned.seconds), _against(q.seconds(adapting), planned.seconds, adapting),
        q.seconds(planned.latency_s), _against(q.seconds(latency), planned.latency_s, latency),
        numbers=range(1, 7),
    )  # fmt: skip


def _against(words: str, planned: float | None, found: float | None) -> Part:
    if not planned or not found:
        return words
    return join(words, tag("small", f"× {q.fixed(found / planned, 2)}"))


# -- break-even --------------------------------------------------------------------------------------------------------


def break_even_section(view: View) -> Html | None:
    """From how many requests on one rung costs less than another."""
    found = view.report.measured.break_even
    if not found:
        return None
    prices = sorted({one.price for one in found})
    pairs = list(dict.fromkeys((one.first, one.second) for one in found))
    rows = []
    for first, second in pairs:
        at = {one.price: one for one in found if (one.first, one.second) == (first, second)}
        cells = [_requests(at[price]) if price in at else q.NOTHING for price in prices]
        rows.append(row(f"{second} costs less than {first}", *cells, numbers=range(1, len(prices) + 1)))
    words = {0.5: "at half the price", 1.0: "at the stated price", 2.0: "at double the price"}
    head = ["", *(words.get(price, f"at {price:g} × the price") for price in prices)]
    lead = "The number of requests from which the dearer adaptation pays for itself, with its 95 % range. It may never."
    body = table(head, rows, caption="Break-even", numbers=range(1, len(prices) + 1))
    return section("breakeven", "Break-even", body, lead=lead)


def _requests(one: BreakEven) -> Part:
    low, high = (q.scaled(end) if end is not None else "never" for end in (one.low, one.high))
    estimate = "never" if one.requests is None else f"from {q.scaled(one.requests)}"
    return join(estimate, tag("small", f"{low} to {high}" if low != high else low))
