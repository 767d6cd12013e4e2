"""Whether a program passes: run in a process of its own, with limits of time and memory, in an empty folder.

This bounds accidents, not malice: whoever does not trust the model runs Rung in a container. Only on request.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

SECONDS = 10
BYTES = 1 << 30
LIMITS = f"""import resource
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES}))
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
"""


def passes(program: str) -> bool:
    """Whether the Python program ends without an error, within 10 seconds and 1 GiB."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    "-I",
                    "-c",
                    LIMITS + "exec(compile(__import__('sys').stdin.read(), 'answer', 'exec'))",
                ],
                input=program,
                cwd=folder,
                env={},
                text=True,
                capture_output=True,
                timeout=2 * SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
