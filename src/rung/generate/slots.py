"""The key–value cache of answers being written: one slot a row, each filled from the left, rows of unlike length.

Rows join from a prefix and a pass over the rest of their context, grow by one token a step, and leave; the last row takes
a free place, so that the rows in use are always the first ones. What is masked, and when rows join, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache

from rung.generate.prefixes import Layer, Prefix
from rung.model.shapes import LENGTH_STEP, rounded

ROWS_STEP = 4  # rows of a step: rounded up, so that few shapes of products occur


class Behind(Cache):
    """The cache of one pass behind a prefix that every row begins with; the pass's own keys and values are kept."""

    def __init__(self, prefix: Prefix) -> None:
        super().__init__(layers=[])
        self.prefix = prefix
        self.made: dict[int, Layer] = {}

    def update(self, keys: Any, values: Any, layer_idx: int, *_: Any, **__: Any) -> Layer:
        """Keys and values (rows, heads, prefix + length, width) to attend to."""
        self.made[layer_idx] = (keys, values)
        if not self.prefix.length:
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
    """Keys and values of the running rows. During a step it is the module's cache: one new token a row."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.store: list[Layer] = []
        self.lengths: list[int] = []
        self._rows = 0  # in this step, rounded
        self._width = 0
        self._at: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def join(self, prefix: Prefix, own: Sequence[Layer], places: Sequence[tuple[int, int, int]]) -> None:
        """Append a row for each place (row of the pass, first position, count) of `own`, all behind `prefix`."""
        first, count = len(self.lengths), len(places)
        longest = max(size for _, _, size in places)
        self._reserve(own, first + count, prefix.length + longest + 1)
        device = own[0][0].device
        rows = torch.tensor([row for row, _, _ in places], device=device)[:, None]
        span = torch.arange(longest, device=device)[None]
        start = torch.tensor([[start] for _, start, _ in places], device=device)
        # Positions behind a row's end hold other rows' values: masked, and overwritten as the row grows.
        positions = (start + span).clamp_max(own[0][0].shape[2] - 1)
        for layer, (store, mine) in enumerate(zip(self.store, own)):
            for kind in (0, 1):
                target = store[kind][first : first + count]
                if prefix.length:
                    target[:, :, : prefix.length] = prefix.layers[layer][kind]
                target[:, :, prefix.length : prefix.length + longest] = mine[kind][rows, :, positions].transpose(1, 2)
        self.lengths += [prefix.length + size for _, _, size in places]

    def leave(self, row: int) -> int:
        """Free a row's slot; the last row takes its place. Gives back the row that moved (itself where none did)."""
        last = len(self.lengths) - 1
        if row != last:
            length = self.lengths[last]
            for layer in self.store:
                for part in layer:
                    part[row, :, :length] = part[last, :, :length]
            self.lengths[row] = length
        self.lengths.pop()
        return last

    def begin(self, device: Any) -> tuple[int, int, torch.Tensor]:
        """Make room for a step: (rows, width, position of each row's new token (rows,)). Rows beyond are idle."""
        self._rows = rounded(len(self.lengths), ROWS_STEP)
        self._width = rounded(max(self.lengths) + 1, LENGTH_STEP)
        self._reserve(self.store, self._rows, self._width)
        spare = [0] * (self._rows - len(self.lengths))
        self._at = torch.tensor(self.lengths + spare, device=device)
        return self._rows, self._width, self._at

    def end(self) -> None:
        """The step is done: every row is one token longer."""
        self.lengths = [length + 1 for length in self.lengths]

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
        """Room for `rows` rows of `width` tokens, shaped as `like`; a quarter more than asked where it must grow."""
        if self.store and self.store[0][0].shape[0] >= rows and self.store[0][0].shape[2] >= width:
            return
        had_rows, had_width = (self.store[0][0].shape[0], self.store[0][0].shape[2]) if self.store else (0, 0)
        new_rows = rounded(max(had_rows, rows + rows // 4 if had_rows else rows), ROWS_STEP)
        new_width = rounded(max(had_width, width + width // 4 if width > had_width else width), LENGTH_STEP)
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
