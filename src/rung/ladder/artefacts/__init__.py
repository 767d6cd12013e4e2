"""Artefacts made of a System or a base: whole weights in other numbers, smaller, or in another program's form.

Each is built under a temporary name, read back, scored on the task's validation rows beside what it was made of, and
takes its name only where it does not fall behind. How weights are changed is the matter of `model` and `train`.
"""
