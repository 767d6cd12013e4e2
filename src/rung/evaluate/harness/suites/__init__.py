"""Benchmarks by name: what each asks, what data it needs, how its own files are read."""
