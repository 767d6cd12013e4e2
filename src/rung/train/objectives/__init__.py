"""What a pretraining step minimises, by name: how rows become a batch, and the loss of each token it predicts.

The one table of objectives lives here; each has a file of its own. Which weights move and how is the loop's matter.
"""

from __future__ import annotations

from rung.train.objectives.causal import causal
from rung.train.objectives.masked import masked
from rung.train.objectives.objective import Objective
from rung.train.objectives.prefix import prefix
from rung.train.objectives.spans import spans

OBJECTIVES: dict[str, Objective] = {
    "causal": Objective("decoder", causal),
    "masked": Objective("encoder", masked, predicts_next=False),
    "span-corruption": Objective("encoder-decoder", spans, predicts_next=False),
    "prefix-lm": Objective("decoder", prefix),
}
