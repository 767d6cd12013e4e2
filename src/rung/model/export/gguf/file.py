"""A GGUF file in a folder of its own, and the model that is read back from it."""

from __future__ import annotations

import shutil
from pathlib import Path

from rung.errors import RungError
from rung.model.export.gguf.reading import read_gguf
from rung.model.export.gguf.writing import write_gguf
from rung.model.load import Model, quiet
from rung.run import cannot_write


def write_file(model: Model, folder: Path, scratch: Path, to: str) -> Model:
    """Write `model-TYPE.gguf` into the existing `folder`, and give what is read back from it into `scratch`."""
    file = folder / f"model-{to}.gguf"
    write_gguf(model, file, to)
    again = scratch / "read"
    again.mkdir()
    read_gguf(file, again)
    return Model.load(str(again), device=model.device)


def import_gguf(file: Path, out: Path) -> Model:
    """Write the model of a GGUF file as the new folder `out`. Raises RungError where `out` exists, or the file is not
    one that can be read."""
    if out.exists():
        raise RungError("is there already", where=str(out), mend="name another with --out")
    quiet()
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        read_gguf(file, part)
        part.replace(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Model.load(str(out))
