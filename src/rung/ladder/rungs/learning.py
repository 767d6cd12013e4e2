"""Fields that every rung with a classifying head shares: what it minimises, how labels weigh, which rows are drawn."""

from __future__ import annotations

from dataclasses import dataclass, fields

from rung.system.body import Body
from rung.task import Task
from rung.train.classes import WEIGHT_NAMES, ClassLoss


@dataclass(frozen=True)
class ClassFields:
    """The fields of `ClassLoss`, as a rung's own; checked when the rung is made."""

    loss: str = "cross-entropy"
    weights: tuple[str, ...] | str = "none"
    smoothing: float = 0.0
    gamma: float = 2.0
    alpha: float | None = None
    beta: float = 0.999
    costs: tuple[str, ...] | str = ()
    resample: str = "none"

    def __post_init__(self) -> None:
        self.class_loss()

    def class_loss(self) -> ClassLoss:
        """As one value. Raises RungError for settings that make no sense together."""
        given = {part.name: getattr(self, part.name) for part in fields(ClassLoss)}
        if isinstance(self.costs, str):
            given["costs"] = (self.costs,)
        return ClassLoss(**given)

    def named(self, name: str) -> str:
        """The rung's label: its name and what is not as usual, so that several can stand on one ladder: `head-focal`."""
        loss = self.class_loss()
        return "-".join(
            [name]
            + [loss.loss.replace(":", "-")] * (loss.loss != "cross-entropy")
            + ["smoothed"] * (loss.smoothing > 0)
            + [loss.weights if loss.weights in WEIGHT_NAMES else "weighted"] * (loss.weights != "none")
            + [loss.resample] * (loss.resample != "none")
        )

    def unfit(self, body: Body, task: Task) -> str:
        """Why the fields make no sense for this base and task; labels that they name are looked up here."""
        loss = self.class_loss()
        if loss.plain:
            return ""
        if task.kind not in ("classify", "tag"):
            return f"loss, weights and resample belong to labels, and kind {task.kind} has none"
        if task.kind == "classify" and loss.alpha is not None and len(task.labels) != 2:
            return f"alpha weighs two labels, and the task has {len(task.labels)}; give weights"
        if task.kind == "classify":
            loss.class_weights([], task.labels)
            loss.cost_matrix(task.labels)
        return ""
