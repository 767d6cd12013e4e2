"""Asking a System many prompts so that the crash of one never loses the others. Scores are the matter of `evaluation`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rung.errors import RungError
from rung.types import Completion, Prompt, System

CHUNK = 128  # prompts handed to a System at once: often enough for progress, large enough for batches
Progress = Callable[[int, int], None]


def ask(system: System, prompts: Sequence[Prompt], progress: Progress | None = None) -> list[Completion]:
    """One completion a prompt, in their order.

    Where a System crashes, its prompts are asked one by one and those that crash it come back as errors. A System that
    cannot answer one prompt of the first chunk is broken itself: its exception is raised. So is every RungError, which
    is about the question and not about one row.
    """
    done: list[Completion] = []
    for at in range(0, len(prompts), CHUNK):
        done += _chunk(system, prompts[at : at + CHUNK], first=at == 0)
        if progress:
            progress(len(done), len(prompts))
    return done


def _chunk(system: System, prompts: Sequence[Prompt], *, first: bool) -> list[Completion]:
    try:
        return list(system.answer(prompts))
    except RungError:
        raise
    except Exception:
        if first and len(prompts) == 1:
            raise
        made = [_alone(system, prompt) for prompt in prompts]
        if first and all(said.error is not None for said in made):
            raise
        return made


def _alone(system: System, prompt: Prompt) -> Completion:
    try:
        return system.answer([prompt])[0]
    except RungError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever one row does to a System is told in that row
        said = (str(error).splitlines() or [""])[0]
        return Completion("", error=f"crashed ({type(error).__name__}: {said})")
