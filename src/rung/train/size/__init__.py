"""What a model and its training would take, before anything is spent: parameters, memory, compute, days; scaling laws.

Everything here reads configurations and numbers; no weights are loaded and nothing is trained.
"""
