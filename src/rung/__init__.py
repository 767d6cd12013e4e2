"""Rung: climb only as high as your task needs."""
