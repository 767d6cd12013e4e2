"""`python -m rung`, which is what launchers start."""

from rung.cli import main

main()
