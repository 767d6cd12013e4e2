"""The ledger of looks as lines of text."""

from __future__ import annotations

from rung.ladder.ledger import Ledger


def ledger_lines(ledger: Ledger) -> list[str]:
    """One line a look, oldest first, and a line that sums them up."""
    looks = ledger.history()
    if not looks:
        return ["no looks at any test split yet"]
    lines = [f"{'when':<20} {'look':>4} {'level':>8}  {'scored':>6}  run           for"]
    for look in looks:
        when = look.reserved[:19].replace("T", " ")
        scored = f"{len(look.results)}/{len(look.artefacts)}"
        lines.append(
            f"{when:<20} {look.number:>4} {look.level:>8.4f}  {scored:>6}  {look.run[:12]:<12}  {look.purpose}"
        )
    lines.append(f"{len(looks)} looks; look j of a test split may err with probability 0.05 / 2^j")
    return lines
