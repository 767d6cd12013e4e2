"""The command line: one small file a verb, no logic. Heavy rooms are imported when a verb runs, never before."""

from rung.cli.main import main

__all__ = ["main"]
