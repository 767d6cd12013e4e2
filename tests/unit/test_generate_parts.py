"""The engine's parts alone: sampling, prefixes in common, the tree that keeps them, slots, wording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from rung.generate.prefixes import Group, Prefix, Prefixes, common_prefix, groups
from rung.generate.sampling import Chooser, choose, filtered
from rung.generate.trie import build
from rung.generate.wording import Wording
from rung.types import Sampling

PROBABILITIES = [0.05, 0.4, 0.2, 0.35]


def logits(rows: int = 1) -> torch.Tensor:
    return torch.tensor([PROBABILITIES] * rows).log()


def kept(sampling: Sampling) -> list[int]:
    """The tokens that may still be drawn."""
    return (filtered(logits(), [sampling])[0] > 0).nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, [0, 1, 2, 3]),
        ({"top_k": 2}, [1, 3]),
        ({"top_k": 9}, [0, 1, 2, 3]),
        ({"top_p": 0.4}, [1]),
        ({"top_p": 0.41}, [1, 3]),
        ({"top_p": 0.96}, [0, 1, 2, 3]),
        ({"min_p": 0.49}, [1, 2, 3]),
        ({"min_p": 0.51}, [1, 3]),
        ({"min_p": 0.49, "temperature": 0.5}, [1, 3]),  # temperature comes first: 0.2² / 0.4² is 0.25
        ({"top_k": 3, "top_p": 0.45}, [1, 3]),  # what top-k left is made to sum to one: 0.42, then 0.37
    ],
)
def test_filters_keep_what_they_say(settings: dict[str, Any], tokens: list[int]) -> None:
    assert kept(Sampling(**{"temperature": 1.0, **settings})) == tokens


def test_rows_of_one_batch_are_filtered_by_their_own_settings() -> None:
    own = [Sampling(temperature=1.0), Sampling(temperature=1.0, top_k=1), Sampling(temperature=2.0, top_p=0.3)]
    together = filtered(logits(3), own)
    for row, sampling in enumerate(own):
        assert torch.allclose(together[row], filtered(logits(), [sampling])[0])


def test_draws_follow_the_probabilities() -> None:
    rows = 4000
    picks = choose(logits(rows), [Chooser(Sampling(temperature=1.0, seed=seed)) for seed in range(rows)])
    shares = torch.bincount(torch.tensor([pick.token for pick in picks]), minlength=4) / rows
    assert torch.allclose(shares, torch.tensor(PROBABILITIES), atol=4 * (0.25 / rows) ** 0.5)


def test_bias_comes_before_penalties_before_the_greedy_choice() -> None:
    def token(sampling: Sampling, made: Sequence[int] = (), context: Sequence[int] = ()) -> int:
        chooser = Chooser(sampling, context)
        chooser.made += made
        return choose(logits() + 3, [chooser])[0].token

    assert token(Sampling()) == 1
    assert token(Sampling(logit_bias=((0, 5.0),))) == 0
    assert token(Sampling(presence_penalty=1.0), made=[1]) == 3
    assert (
        token(Sampling(frequency_penalty=0.1), made=[1]) == 1 and token(Sampling(frequency_penalty=0.1), [1] * 2) == 3
    )
    assert token(Sampling(repetition_penalty=1.5), context=[1]) == 3
    # The bias is part of what the repetition penalty divides: 8.0 / 4 is below the logit of token 1.
    assert token(Sampling(repetition_penalty=3.0, logit_bias=((0, 8.0),)), context=[0]) == 0
    assert token(Sampling(repetition_penalty=4.0, logit_bias=((0, 8.0),)), context=[0]) == 1


def test_log_probabilities_are_before_all_settings() -> None:
    sampling = Sampling(temperature=0.3, top_k=1, logit_bias=((0, 50.0),), logprobs=2)
    (pick,) = choose(logits(), [Chooser(sampling)])
    assert pick.token == 0 and pick.logprob == pytest.approx(torch.tensor(0.05).log().item())
    assert [token for token, _ in pick.others] == [1, 3]


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"min_p": 1.5},
        {"n": 0},
        {"repetition_penalty": 0.0},
        {"logprobs": -1},
        {"beams": 2, "temperature": 1.0},
        {"beams": 2, "n": 3},
        {"max_new_tokens": 0},
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"between|counts|beams"):
        Sampling(**settings)


# -- prefixes ----------------------------------------------------------------------------------------------------------


def test_groups_follow_the_tree_of_beginnings() -> None:
    instruction, algebra, law = list(range(100)), list(range(200, 260)), list(range(300, 360))
    contexts = [instruction + (algebra, law)[row % 2] + [row, row] for row in range(8)] + [[7, 8, 9]]
    found = groups(contexts)
    assert found == [
        Group(0, (8,)),
        Group(160, (0, 2, 4, 6)),
        Group(160, (1, 3, 5, 7)),
    ]
    assert groups([[1, 2, 3]]) == [Group(0, (0,))]
    assert groups([[1, 2, 3]] * 3) == [Group(0, (0, 1, 2))]  # too short to share
    same = [list(range(100))] * 3
    assert groups(same) == [Group(99, (0, 1, 2))]  # the last token stays with its row
    assert groups(same[:1], peers=same[:1]) == [Group(99, (0,))]
    assert sorted(row for group in groups([list(range(n + 1)) for n in range(300)]) for row in group.rows) == [
        *range(300)
    ]


def test_common_prefix() -> None:
    assert common_prefix([[1, 2, 3], [1, 2], [1, 2, 9]]) == 2 and common_prefix([]) == 0


def _tree(limit: int) -> tuple[Prefixes, list[int]]:
    """A tree over a `model` whose key of a token is the token itself, so that what comes back can be read."""
    computed: list[int] = []

    def extend(prefix: Prefix, ids: Sequence[int]) -> Prefix:
        computed.extend(ids)
        new = torch.tensor([float(i) for i in ids]).reshape(1, 1, -1, 1)
        layers = [(new, new)]
        if prefix.layers:
            layers = [(torch.cat([old, new], 2), torch.cat([old, new], 2)) for old, _ in prefix.layers]
        return Prefix(tuple(layers), prefix.length + len(ids), prefix.skip + len(ids), prefix.variant)

    return Prefixes(lambda variant: Prefix(variant=variant), extend, limit), computed


def _read(prefix: Prefix) -> list[int]:
    return [int(value) for value in prefix.layers[0][0].flatten()]


def test_the_tree_computes_only_what_is_new() -> None:
    tree, computed = _tree(limit=10**6)
    assert _read(tree.get([1, 2, 3, 4])) == [1, 2, 3, 4]
    assert _read(tree.get([1, 2, 9])) == [1, 2, 9] and computed == [1, 2, 3, 4, 9]
    assert _read(tree.get([1, 2, 3, 4, 5])) == [1, 2, 3, 4, 5] and _read(tree.get([1])) == [1]
    assert computed == [1, 2, 3, 4, 9, 5]
    assert _read(tree.get([1, 2], "other")) == [1, 2] and computed[-2:] == [1, 2]
    assert tree.bytes == 8 * (6 + 2)
    tree.forget("other")
    assert tree.bytes == 8 * 6


def test_the_tree_stays_within_its_bound_and_drops_the_oldest_leaf() -> None:
    tree, computed = _tree(limit=8 * 6)
    for ids in ([1, 2], [3, 4], [5, 6], [1, 2], [7, 8]):
        assert _read(tree.get(ids)) == ids
        assert tree.bytes <= 8 * 6
    computed.clear()
    tree.get([1, 2])
    assert computed == []  # used again before, so kept
    tree.get([3, 4])
    assert computed == [3, 4]
    assert _read(tree.get(range(100))) == [*range(100)]  # more than the bound: computed, used, not kept
    assert tree.bytes <= 8 * 6


def test_trie_shares_and_keeps_every_path() -> None:
    trie = build([[1, 2, 3], [1, 2, 4, 5], [6]])
    assert trie.tokens == (1, 2, 4) and trie.parents == (-1, 0, 1) and not trie.forks
    assert [[token for _, token in path] for path in trie.paths] == [[1, 2, 3], [1, 2, 4, 5], [6]]
    forked = build([[1, 2, 3], [1, 4, 3]])
    assert forked.forks and forked.lineage.tolist() == [[True, False, False], [True, True, False], [True, False, True]]


# -- wording -----------------------------------------------------------------------------------------------------------


class Letters:
    """A tokenizer of bytes."""

    def decode(self, tokens: list[int], skip_special_tokens: bool = True) -> str:
        return bytes(token for token in tokens if token).decode("utf-8", "replace")


def test_what_is_shown_is_never_taken_back() -> None:
    said = "na\u00efve \u20ac5 ### no".encode()
    wording = Wording(Letters(), frozenset({0}), ("###", "#!"))
    shown = ""
    for count in range(1, len(said) + 1):
        if wording.ended(list(said[:count])):
            break
        now = wording.shown(list(said[:count]))
        assert now.startswith(shown) and "#" not in now and "\ufffd" not in now
        shown = now
    text, tokens, finished = wording.read(list(said[:count]))
    assert text == "na\u00efve \u20ac5 " == shown and finished and len(tokens) == count
    assert wording.read([*b"ab", 0]) == ("ab", (97, 98), True) and wording.read(list(b"ab")) == ("ab", (97, 98), False)
