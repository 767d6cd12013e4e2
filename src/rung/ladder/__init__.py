"""The ladder: rungs, the plan, the climb, the ledger of looks, the decision and its report."""
