"""What runs inside a training job of SageMaker: the command, in a folder that outlives an interruption.

The folder that was sent is copied into the checkpoints, where only what is missing is put, so that after an interruption
the same command finds what it wrote. What it wrote goes into the job's results. Only the standard library is used.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

CHANNEL = "work"
ROOT = Path("/opt/ml")
UNDECIDED = 1
"""`rung climb` ends so where no rung passes: a result, if it wrote one."""


def main(root: Path = ROOT) -> int:
    """Run the command that the job was given; its exit code, 0 for a result that is there."""
    given = json.loads((root / "input" / "config" / "hyperparameters.json").read_text(encoding="utf-8"))
    sent, work = root / "input" / "data" / CHANNEL, root / "checkpoints" / CHANNEL
    files = [path.relative_to(sent) for path in sorted(sent.rglob("*")) if path.is_file()]
    for path in files:
        if not (work / path).exists():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            building = (work / path).with_name(f".{path.name}.part")
            shutil.copyfile(sent / path, building)
            building.replace(work / path)
    words = json.loads(given["command"])
    print(f"rung {' '.join(words)}", flush=True)
    code = _run(_spread(words, int(given.get("processes", "1"))), work)
    if code == UNDECIDED and words[0] == "climb" and list(work.rglob("report.json")):
        code = 0
    _keep(work, set(files), root / "model")
    if code:
        (root / "output").mkdir(parents=True, exist_ok=True)
        told = f"rung {words[0]} ended with exit code {code}; its last lines in the log say why"
        (root / "output" / "failure").write_text(told, encoding="utf-8")
    return code


def _spread(words: list[str], processes: int) -> list[str]:
    """The command line, over several processes by torchrun."""
    run = [sys.executable, "-c", "from rung.cli import main; main()", *words]
    if processes == 1:
        return run
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*launch, "--no-python", *run]


def _run(command: list[str], folder: Path) -> int:
    """The exit code. A job that is stopped or loses its machine is told by SIGTERM, which is passed on."""
    with subprocess.Popen(command, cwd=folder, env=os.environ) as process:

        def pass_on(number: int, _: Any) -> None:
            process.send_signal(number)

        before = signal.signal(signal.SIGTERM, pass_on)
        try:
            code = process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
    return code if code >= 0 else 128 - code


def _keep(work: Path, sent: set[Path], model: Path) -> None:
    """Copy what the command wrote to the job's results."""
    for file in sorted(work.rglob("*")):
        path = file.relative_to(work)
        if file.is_file() and path not in sent:
            (model / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, model / path)


if __name__ == "__main__":
    sys.exit(main())
