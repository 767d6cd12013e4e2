"""Training by one or several methods on a task, without a decision: what `rung tune` does."""
