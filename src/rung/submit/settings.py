"""What a job may be told: one frozen value for Slurm and one for SageMaker, read from YAML and from KEY=VALUE words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from rung.errors import RungError, nearest

_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}\Z")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+\Z")
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/\S*)?\Z")
WHERE = "submit"


@dataclass(frozen=True)
class Slurm:
    """A job of Slurm. `gpus`, `cpus`, `processes` and `memory` (such as 64G) count for one node; 0 and "" leave them to
    the cluster. `processes` 0 is one a GPU for what trains in several, else one.

    `hours` 0 is the partition's own limit. With `requeue` the job asks for another turn when its time is nearly up, and
    goes on where it stopped. `setup` are shell lines before the command, `options` further `#SBATCH` options.
    """

    nodes: int = 1
    gpus: int = 0
    processes: int = 0
    cpus: int = 0
    memory: str = ""
    hours: float = 0.0
    partition: str = ""
    account: str = ""
    requeue: bool = True
    port: int = 29500
    setup: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _at_least(self, nodes=1, gpus=0, processes=0, cpus=0, hours=0, port=1024)
        _plain(self, "memory", "partition", "account")
        _no_secrets(self.env)
        if any("\n" in option or not option.startswith("--") for option in self.options):
            raise RungError("options are not all of the form --name=value", where=WHERE, mend="options: [--qos=long]")


@dataclass(frozen=True)
class SageMaker:
    """A training job of SageMaker, on one instance. `role`, `image` and `bucket` (s3://bucket/prefix) are needed.

    `image` holds Rung. `hours` bound the training, `wait_hours` training and waiting of a spot job (0: twice as long).
    `volume` is in GB. `checkpoints` (default: the job's own place in the bucket) names those of another job to go on
    from. `leave` are patterns of files that are not sent.
    """

    role: str = ""
    image: str = ""
    bucket: str = ""
    instance: str = "ml.m5.xlarge"
    processes: int = 1
    hours: float = 24.0
    spot: bool = False
    wait_hours: float = 0.0
    volume: int = 50
    region: str = ""
    checkpoints: str = ""
    leave: tuple[str, ...] = ("runs",)
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _at_least(self, processes=1, hours=1 / 60, wait_hours=0, volume=1)
        _no_secrets(self.env)
        if self.wait_hours and self.wait_hours < self.hours:
            raise RungError("wait_hours is below hours", where=WHERE, mend="it counts waiting and training together")

    def check_whole(self) -> None:
        """Raises RungError where something that a new job needs is missing or of a wrong form."""
        forms = (
            ("role", _ROLE, "arn:aws:iam::123456789012:role/NAME"), ("bucket", _BUCKET, "s3://bucket/prefix"),
            ("image", re.compile(r"\S+\Z"), "the URI of an image that holds Rung"),
            ("instance", re.compile(r"ml\.\S+\Z"), "ml.g5.xlarge"),
        )  # fmt: skip
        for name, form, example in forms:
            value = getattr(self, name)
            if not form.match(value):
                told = f"{name} is {value!r}" if value else f"{name} is missing"
                raise RungError(told, where=WHERE, mend=f"give {example}")
        if self.checkpoints and not _BUCKET.match(self.checkpoints):
            raise RungError(f"checkpoints is {self.checkpoints!r}", where=WHERE, mend="give s3://bucket/prefix")


KINDS: Mapping[str, type[Slurm] | type[SageMaker]] = {"slurm": Slurm, "sagemaker": SageMaker}


def read_settings(to: str, file: Path | None, words: Sequence[str]) -> Slurm | SageMaker:
    """The settings in a file's `submit:` mapping, those in KEY=VALUE words over them; `to` may stand in the file too.

    Raises RungError for a file that cannot be read, an unknown key, or a value of a wrong kind.
    """
    given = _mapping(file) if file is not None else {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign:
            raise RungError(f"{word!r} is no KEY=VALUE", where="--set", mend="write for example --set hours=12")
        given[key.strip()] = _yaml(value, "--set")
    told = given.pop("to", None)
    chosen = to or str(told or "")
    if chosen not in KINDS:
        said = f"unknown kind of job {chosen!r}" if chosen else "no kind of job is given"
        raise RungError(
            said, where="--to", mend=nearest(chosen, KINDS) if chosen else "give --to slurm or --to sagemaker"
        )
    kind = KINDS[chosen]
    known = {spec.name: spec for spec in fields(kind)}
    blank, values = kind(), {}
    for key, value in given.items():
        if key not in known:
            raise RungError(f"unknown key {key!r} for {chosen}", where=WHERE, mend=nearest(str(key), known))
        values[key] = _fitting(key, value, getattr(blank, key))
    return kind(**values)


def check_name(name: str) -> None:
    """Raises RungError for a name that jobs cannot have."""
    if not _NAME.match(name):
        raise RungError(
            f"{name!r} cannot be a job's name", where="--name", mend="use letters, digits and -, at most 63"
        )


def _mapping(file: Path) -> dict[str, Any]:
    try:
        read = _yaml(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise RungError(f"cannot be read ({error})", where=str(file), mend="name a YAML file") from error
    found = read.get("submit") if isinstance(read, Mapping) else None
    if not isinstance(found, Mapping):
        raise RungError("holds no submit: mapping", where=str(file), mend="write submit: {to: slurm, gpus: 1}")
    return dict(found)


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RungError(f"not valid YAML: {error}", where=where, mend="mend it") from error


def _fitting(key: str, value: Any, default: Any) -> Any:
    """A value of the kind of its default."""
    if isinstance(default, tuple) and isinstance(value, list | str):
        return (value,) if isinstance(value, str) else tuple(map(str, value))
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        return {str(name): str(one) for name, one in value.items()}
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, str) and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # memory: 64000
    if type(value) is not type(default):
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", tuple: "a list"}
        raise RungError(f"{key} is {value!r}", where=WHERE, mend=f"give {kinds.get(type(default), 'a mapping')}")
    return value


def _at_least(settings: Any, **least: float) -> None:
    for key, low in least.items():
        value = getattr(settings, key)
        if not low <= value < float("inf"):
            raise RungError(f"{key} is {value:g}", where=WHERE, mend=f"give {low:g} or more")


def _plain(settings: Any, *keys: str) -> None:
    """What becomes part of an `#SBATCH` line must not end it."""
    for key in keys:
        if re.search(r"\s", getattr(settings, key)):
            raise RungError(f"{key} is {getattr(settings, key)!r}", where=WHERE, mend="give one word")


def _no_secrets(env: Mapping[str, str]) -> None:
    for name in env:
        if _SECRET.search(name):
            told = f"{name} looks like a secret, and what a job is told can be read by others"
            raise RungError(told, where=f"{WHERE}.env", mend="let the job's own role or profile give it")
        if not re.match(r"[A-Za-z_][A-Za-z0-9_]*\Z", name):
            raise RungError(f"{name!r} is no variable's name", where=f"{WHERE}.env", mend="use letters, digits and _")
