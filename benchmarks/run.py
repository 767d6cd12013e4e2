"""Runs every benchmark, keeps each result under `results/`, and draws the table in `README.md`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("climb", "few_shot_generation", "few_shot_scoring", "rouge", "bootstrap", "memory", "overhead")


def main() -> None:
    """Run, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for name in NAMES:
        print(f"{name} …", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), *(["--quick"] if options.quick else [])]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # progress goes to stderr
        line = done.stdout.strip().splitlines()[-1]
        print(line)
        if not options.quick:
            result = json.loads(line)
            (HERE / "results" / f"{name}-{result['date']}.json").write_text(json.dumps(result, indent=1) + "\n")
    if not options.quick:
        (HERE / "README.md").write_text(table())


def table() -> str:
    """The kept results as a Markdown table, newest first."""
    lines = [
        "# Benchmarks",
        "",
        "`make bench` runs all of them and draws this table from `results/`. A ratio above 1 means that Rung is ahead.",
        "",
        "| benchmark | date | ours | peer | ratio | goal | same result | hardware |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for file in sorted((HERE / "results").glob("*.json"), reverse=True):
        r = json.loads(file.read_text())
        machine = f"{r['hardware'].get('processor', '')}, {r['hardware'].get('cores', '?')} cores"
        numbers = f"{r['ours']:.1f} {r['unit']} | {r['peer']:.1f} {r['unit']} ({r['peer_name']})"
        lines.append(
            f"| {r['benchmark']} | {r['date']} | {numbers} | {r['ratio']:.2f} | {r['goal']} | {r['same_result']} | {machine} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
