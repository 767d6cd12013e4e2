"""Weights and tokenizers: finding, loading, building, describing. Nothing here runs a task."""
