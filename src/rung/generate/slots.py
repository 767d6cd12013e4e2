"""The key–value cache of answers being written: one slot a row, each filled from the left, rows of unlike length.

Rows join from a prefix and a pass over the rest of their context, grow by one token a step, and leave; the last row takes
a free place, so that the rows in use are always the first ones. The prefix stays apart where the attention can read it
there, else it is copied to the front of each row. What is masked, and when rows join, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache

from rung.generate.attention import Part
from rung.generate.prefixes import Prefix
from rung.model.shapes import LENGTH_STEP, rounded
from rung.model.virtual import Layer

ROWS_STEP = 4  # rows of a step: rounded up, so that few shapes of products occur


class Behind(Cache):
    """The cache of one pass behind a prefix that every row begins with; the pass's own keys and values are kept.

    With `apart` the prefix is left to the attention, else it is joined to what the pass attends to.
    """

    def __init__(self, prefix: Prefix, apart: bool) -> None:
        super().__init__(layers=[])
        self.prefix, self.apart = prefix, apart
        self.made: dict[int, Layer] = {}

    def update(self, keys: Any, values: Any, layer_idx: int, *_: Any, **__: Any) -> Layer:
        """Keys and values (rows, heads, (prefix +) length, width) to attend to."""
        self.made[layer_idx] = (keys, values)
        if self.apart or not self.prefix.length:
            return keys, values
        before_keys, before_values = self.prefix.layers[layer_idx]
        rows = keys.shape[0]
        return (
            torch.cat([before_keys.expand(rows, -1, -1, -1), keys], 2),
            torch.cat([before_values.expand(rows, -1, -1, -1), values], 2),
        )

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens before this pass."""
        return self.prefix.length

    @property
    def own(self) -> tuple[Layer, ...]:
        """The pass's own keys and values, layer by layer."""
        return tuple(self.made[layer] for layer in sorted(self.made))


class Slots(Cache):
    """Keys and values of the running rows. During a step it is the module's cache: one new token a row.

    `lengths[r]` counts the tokens in the slot of row r, `prefixes[r]` is what it stands behind. `width` and `rows` say how
    large the store is likely to become.
    """

    def __init__(self, apart: bool, rows: int = 0, width: int = 0) -> None:
        super().__init__(layers=[])
        self.apart = apart
        self.store: list[Layer] = []
        self.lengths: list[int] = []
        self.prefixes: list[Prefix] = []
        self._likely = rows, width
        self._rows = 0  # in this step, rounded
        self._width = 0
        self._at: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def join(self, prefix: Prefix, own: Sequence[Layer], places: Sequence[tuple[int, int, int]]) -> None:
        """Append a row for each place (row of the pass, first position, count) of `own`, all behind `prefix`."""
        first, count = len(self.lengths), len(places)
        longest = max(size for _, _, size in places)
        front = 0 if self.apart else prefix.length
        self._reserve(own, first + count, front + longest + 1)
        device = own[0][0].device
        rows = torch.tensor([row for row, _, _ in places], device=device)[:, None]
        span = torch.arange(longest, device=device)[None]
        start = torch.tensor([[start] for _, start, _ in places], device=device)
        # Positions behind a row's end hold other rows' values: masked, and overwritten as the row grows.
        positions = (start + span).clamp_max(own[0][0].shape[2] - 1)
        for layer, (store, mine) in enumerate(zip(self.store, own)):
            for kind in (0, 1):
                target = store[kind][first : first + count]
                if front:
                    target[:, :, :front] = prefix.layers[layer][kind]
                target[:, :, front : front + longest] = mine[kind][rows, :, positions].transpose(1, 2)
        self.lengths += [front + size for _, _, size in places]
        self.prefixes += [prefix if self.apart else Prefix(variant=prefix.variant)] * count

    def leave(self, row: int) -> int:
        """Free a row's slot; the last row takes its place. Gives back the row that moved (itself where none did)."""
        last = len(self.lengths) - 1
        if row != last:
            length = self.lengths[last]
            for layer in self.store:
                for part in layer:
                    part[row, :, :length] = part[last, :, :length]
            self.lengths[row], self.prefixes[row] = length, self.prefixes[last]
        self.lengths.pop()
        self.prefixes.pop()
        return last

    def begin(self, device: Any) -> tuple[int, int]:
        """Make room for a step: rows (those beyond the running ones are idle) and width."""
        self._rows = rounded(len(self.lengths), ROWS_STEP)
        self._width = rounded(max(self.lengths) + 1, LENGTH_STEP)
        self._reserve(self.store, self._rows, self._width)
        self._at = torch.tensor([*self.lengths, *[0] * self.idle], device=device)
        return self._rows, self._width

    def end(self) -> None:
        """The step is done: every row is one token longer."""
        self.lengths = [length + 1 for length in self.lengths]

    @property
    def idle(self) -> int:
        """Rows of a step that nobody asked for."""
        return self._rows - len(self.lengths)

    @property
    def at(self) -> torch.Tensor:
        """Where in its slot each row's new token goes (rows,)."""
        assert self._at is not None
        return self._at

    @property
    def positions(self) -> torch.Tensor:
        """The position of each row's new token in its text (rows,)."""
        before = [prefix.length for prefix in self.prefixes]
        return self.at + torch.tensor([*before, *[0] * self.idle], device=self.at.device)

    @property
    def parts(self) -> list[Part]:
        """The prefixes that rows stand behind, each with its rows."""
        found: dict[int, list[int]] = {}
        for row, prefix in enumerate(self.prefixes):
            if prefix.length:
                found.setdefault(id(prefix), []).append(row)
        if len(found) == 1 and len(self.prefixes) == len(next(iter(found.values()))):
            return [(None, self.prefixes[0])]
        return [(torch.tensor(rows, device=self.at.device), self.prefixes[rows[0]]) for rows in found.values()]

    def update(self, keys: Any, values: Any, layer_idx: int, *_: Any, **__: Any) -> Layer:
        """Write the new token of each row; give what the step attends to."""
        store = self.store[layer_idx]
        rows = torch.arange(self._rows, device=keys.device)
        for part, new in zip(store, (keys, values)):
            part[rows, :, self._at] = new[:, :, 0]
        return store[0][: self._rows, :, : self._width], store[1][: self._rows, :, : self._width]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens of the longest row."""
        return max(self.lengths, default=0)

    def _reserve(self, like: Sequence[Layer], rows: int, width: int) -> None:
        """Room for `rows` rows of `width` tokens, shaped as `like`; more than asked where it must grow."""
        had_rows, had_width = (self.store[0][0].shape[0], self.store[0][0].shape[2]) if self.store else (0, 0)
        if had_rows >= rows and had_width >= width:
            return
        likely_rows, likely_width = self._likely
        new_rows = rounded(had_rows if had_rows >= rows else max(likely_rows, rows + rows // 4), ROWS_STEP)
        new_width = rounded(had_width if had_width >= width else max(likely_width, width + width // 4), LENGTH_STEP)
        grown = []
        for layer, pair in enumerate(like):
            made = []
            for kind, part in enumerate(pair):
                # Zeros, not whatever lies there: a masked position weighs 0, and 0 × NaN is NaN.
                room = part.new_zeros((new_rows, part.shape[1], new_width, part.shape[3]))
                if self.lengths:
                    old = self.store[layer][kind][: len(self.lengths)]
                    room[: len(self.lengths), :, : old.shape[2]] = old
                made.append(room)
            grown.append((made[0], made[1]))
        self.store = grown
