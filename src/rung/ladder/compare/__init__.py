"""Systems side by side on the same rows: what `rung compare` does. Told, never deciding; validation rows only.

`sides` reads and aligns, `comparison` counts, `files` and `page` write, `command` does all of it. The tests are in `stats`.
"""

from __future__ import annotations

from rung.ladder.compare.command import compare_places
from rung.ladder.compare.comparison import Comparison, compare
from rung.ladder.compare.files import write_comparison
from rung.ladder.compare.sides import aligned, read_sides

__all__ = ["Comparison", "aligned", "compare", "compare_places", "read_sides", "write_comparison"]
