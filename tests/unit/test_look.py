"""Looking into a model: tokens, neighbours, attention, what comes next."""

from __future__ import annotations

import math

import pytest
import torch

from rung.errors import RungError
from rung.model.neighbours import nearest_tokens


def test_neighbours_are_those_of_a_plain_search() -> None:
    torch.manual_seed(0)
    table, vectors = torch.randn(300, 16), torch.randn(5, 16)
    found = nearest_tokens(vectors, table, 4)
    for vector, own in zip(vectors, found):
        cosines = [float(vector @ row / (vector.norm() * row.norm())) for row in table]
        order = sorted(range(300), key=lambda n: -cosines[n])[:4]
        assert [one.token for one in own] == order
        assert [one.cosine for one in own] == pytest.approx([cosines[n] for n in order], abs=1e-5)
        assert [one.degrees for one in own] == pytest.approx(
            [math.degrees(math.acos(cosines[n])) for n in order], abs=1e-2
        )


def test_a_token_is_its_own_nearest_whatever_its_length() -> None:
    torch.manual_seed(1)
    table = torch.randn(40, 8) * torch.linspace(0.1, 5, 40)[:, None]
    for token, own in enumerate(nearest_tokens(7 * table, table, 1)):
        assert own[0].token == token and own[0].degrees < 0.1


def test_rows_of_zeros_have_no_direction() -> None:
    table = torch.eye(3)
    table[1] = 0
    (own, none) = nearest_tokens(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), table, 9)
    assert [one.token for one in own] == [0, 2] and own[0].degrees == pytest.approx(90)
    assert none == []


def test_neighbours_refuse_what_has_no_angle() -> None:
    with pytest.raises(RungError, match="0 neighbours"):
        nearest_tokens(torch.ones(1, 2), torch.ones(3, 2), 0)
    with pytest.raises(RungError, match="width"):
        nearest_tokens(torch.ones(1, 2), torch.ones(3, 4), 1)
