"""The rows of a task's splits: local files, folders and Hub sets, through `datasets`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from rung.errors import RungError, nearest
from rung.evaluate.harness.spec import HarnessTask
from rung.evaluate.harness.templates import Row


class DatasetRows(Sequence[Row]):
    """The rows of a `datasets.Dataset`, read from its files as they are asked for; parts of it are of the same kind."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> DatasetRows: ...

    def __getitem__(self, place: int | slice) -> Row | DatasetRows:
        if isinstance(place, slice):
            return DatasetRows(self._found.select(range(len(self))[place]))
        row: Row = self._found[place]
        return row

    def __iter__(self) -> Iterator[Row]:
        return iter(self._found)


def load_rows(task: HarnessTask) -> tuple[Sequence[Row], Sequence[Row]]:
    """The items to score, and the rows that worked examples are drawn from. Raises RungError where data is missing."""
    found = _dataset(task)

    def split(name: str) -> DatasetRows:
        if name not in found:
            raise RungError(f"has no split {name!r}", where=f"data of {task.task}", mend=nearest(name, list(found)))
        rows = DatasetRows(found[name])
        if not len(rows):
            raise RungError(f"the split {name!r} is empty", where=f"data of {task.task}", mend="give it rows")
        return rows

    items = split(task.split)
    if not task.num_fewshot or (task.shots.samples and not task.shots.split):
        return items, list(task.shots.samples)
    pool = pool_split(task)
    return items, items if pool == task.split else split(pool)


def pool_split(task: HarnessTask) -> str:
    """The split that worked examples come from, where they do not stand in the file."""
    return task.shots.split or task.training_split or task.validation_split or task.split


def _dataset(task: HarnessTask) -> Mapping[str, Sequence[Any]]:
    from datasets import DatasetDict, disable_progress_bars, load_dataset
    from datasets.exceptions import DatasetGenerationError
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    settings = {key: value for key, value in task.dataset_kwargs.items() if key != "trust_remote_code"}
    if "data_files" in settings:
        settings["data_files"] = _placed(settings["data_files"], task.folder)
    path = str(task.dataset_path)
    path = str(task.folder / path) if (task.folder / path).exists() else path
    disable_progress_bars()  # they would run into Rung's own lines
    try:
        found = load_dataset(path, task.dataset_name, **settings)
    except (OSError, ValueError, DatasetGenerationError, HfHubHTTPError, OfflineModeIsEnabled) as error:
        told = " ".join(str(error).split())[:200]
        raise RungError(
            f"does not load: {told}", where=f"data of {task.task}", mend="put the files in place, or go online"
        ) from None
    if not isinstance(found, DatasetDict):
        raise RungError("is no set of splits", where=f"data of {task.task}", mend="leave `split` out of dataset_kwargs")
    return found


def _placed(files: Any, folder: Path) -> Any:
    """Relative paths of data files, from the task file's folder where they lie there."""
    if isinstance(files, Mapping):
        return {key: _placed(value, folder) for key, value in files.items()}
    if isinstance(files, list):
        return [_placed(value, folder) for value in files]
    return str(folder / files) if (folder / str(files)).exists() or any(folder.glob(str(files))) else files
