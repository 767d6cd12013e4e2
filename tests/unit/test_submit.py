"""Jobs elsewhere: settings, the script, the request, what is sent, and what runs inside a training job."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rung.errors import RungError
from rung.submit import entry, slurm
from rung.submit.command import Command
from rung.submit.folder import sent
from rung.submit.sagemaker import _without_keys, request
from rung.submit.settings import SageMaker, Slurm, check_name, read_settings

ROLE = "arn:aws:iam::123456789012:role/rung"
WHOLE = SageMaker(role=ROLE, image="rung:1", bucket="s3://rung-jobs/here")


def command(folder: Path, *words: str) -> Command:
    return Command.of(words or ("tune", "task.yaml", "--base", "tiny"), folder)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_words_stand_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("submit: {to: slurm, nodes: 2, gpus: 4, memory: 64000, setup: module load cuda, env: {A: 1}}")
    read = read_settings("", file, ["nodes=3", "hours=2", "options=[--qos=long]"])
    expected = Slurm(nodes=3, gpus=4, memory="64000", hours=2.0, setup=("module load cuda",), options=("--qos=long",), env={"A": "1"})  # fmt: skip
    assert read == expected
    assert read_settings("sagemaker", None, ["spot=true"]) == SageMaker(spot=True)


@pytest.mark.parametrize(
    ("to", "words", "line"),
    [
        ("", [], "--to: no kind of job is given"),
        ("sagemakr", [], "did you mean sagemaker?"),
        ("slurm", ["gpu=2"], "unknown key 'gpu' for slurm; did you mean gpus?"),
        ("slurm", ["instance=ml.m5.large"], "unknown key 'instance' for slurm"),
        ("slurm", ["gpus=many"], "gpus is 'many'; give a whole number"),
        ("slurm", ["gpus=true"], "gpus is True; give a whole number"),
        ("slurm", ["nodes=0"], "nodes is 0; give 1 or more"),
        ("slurm", ["hours=.nan"], "hours is nan"),
        ("slurm", ["partition='a b'"], "partition is 'a b'; give one word"),
        ("slurm", ["options=[qos]"], "--name=value"),
        ("slurm", ["nodes"], "'nodes' is no KEY=VALUE"),
        ("slurm", ["nodes=["], "--set: not valid YAML"),
        ("slurm", ["env={HF_TOKEN: x}"], "HF_TOKEN looks like a secret"),
        ("sagemaker", ["env={AWS_SECRET_ACCESS_KEY: x}"], "looks like a secret"),
        ("sagemaker", ["hours=5", "wait_hours=1"], "wait_hours is below hours"),
    ],
)
def test_wrong_settings_are_one_line(to: str, words: list[str], line: str) -> None:
    with pytest.raises(RungError, match=re.escape(line)):
        read_settings(to, None, words)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a_b", "a" * 64, "é"])
def test_names_are_what_both_take(name: str) -> None:
    with pytest.raises(RungError, match="cannot be a job's name"):
        check_name(name)
    check_name("rung-tune-20260101-101010")


# -- Slurm -------------------------------------------------------------------------------------------------------------


def run_script(text: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    file = folder / "job.sbatch"
    file.write_text(text)
    around = {**os.environ, "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "localhost", **env}
    return subprocess.run(["bash", str(file)], capture_output=True, text=True, env=around, check=False)


def standing_in(folder: Path, name: str, text: str) -> Path:
    """An executable of this name, in a folder for PATH."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    (place / name).write_text(f"#!/bin/bash\n{text}\n")
    (place / name).chmod(0o755)
    return place


def test_the_words_of_a_command_reach_it_as_they_were(tmp_path: Path) -> None:
    home = tmp_path / "a folder"
    home.mkdir()
    place = standing_in(tmp_path, "rung", 'pwd; printf "<%s>" "$@"; echo; echo "$GREETING"; exit 3')
    words = ("tune", "ta sk.yaml", "--base", "it's $HOME", 'a"b', "x\ny")
    settings = Slurm(setup=(f"export PATH={place}:$PATH",), env={"GREETING": "good $day"})
    text = slurm.script("job", command(home, *words), settings)
    done = run_script(text, tmp_path)
    assert done.returncode == 3 and not done.stderr
    assert done.stdout == f"{home}\n" + "".join(f"<{word}>" for word in words) + "\ngood $day\n"
    assert f'#SBATCH --output="{home}/%x-%j.out"' in text
    head = text.partition("set -uo")[0].splitlines()
    assert all(line.startswith("#") for line in head), "nothing runs before the last #SBATCH line"


def test_several_processes_meet_by_torchruns_variables(tmp_path: Path) -> None:
    told = 'echo "$RANK of $WORLD_SIZE, here $LOCAL_RANK of $LOCAL_WORLD_SIZE, threads $OMP_NUM_THREADS: $*"'
    place = standing_in(tmp_path, "rung", told)
    settings = Slurm(gpus=2, cpus=6, port=29731, setup=(f"export PATH={place}:$PATH",))
    done = run_script(slurm.script("job", command(tmp_path), settings), tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        f"{rank} of 2, here {rank} of 2, threads 3: tune task.yaml --base tiny" for rank in range(2)
    ]


def test_a_job_of_several_nodes_meets_on_the_first(tmp_path: Path) -> None:
    """srun and scontrol are the cluster's: theirs only says what it was asked."""
    standing_in(tmp_path, "scontrol", 'printf "node%s\\n" 4 5')
    place = standing_in(tmp_path, "srun", 'echo "srun $*"')
    settings = Slurm(nodes=2, gpus=8, port=29731, setup=(f"export PATH={place}:$PATH",))
    done = run_script(slurm.script("job", command(tmp_path), settings), tmp_path, SLURM_JOB_NODELIST="node[4-5]")
    assert done.stdout == (
        "srun --kill-on-bad-exit=1 torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-id=7 "
        "--rdzv-endpoint=node4:29731 --no-python rung tune task.yaml --base tiny\n"
    )


@pytest.mark.parametrize(("gpus", "fits"), [(4, True), (0, True)])
def test_a_climb_runs_in_one_process_whatever_the_gpus(gpus: int, fits: bool, tmp_path: Path) -> None:
    climb = command(tmp_path, "climb", "task.yaml", "--base", "tiny")
    assert "torchrun --nnodes" not in slurm.script("job", climb, Slurm(gpus=gpus))
    with pytest.raises(RungError, match="rung climb runs in one process, not in 2"):
        slurm.script("job", climb, Slurm(nodes=2))


def test_the_examples_in_the_docs_hold() -> None:
    found = doctest.testmod(slurm)
    assert found.attempted > 0 and found.failed == 0


# -- what is sent ------------------------------------------------------------------------------------------------------


def furnish(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_a_folder_goes_along_without_what_is_hidden_or_left(tmp_path: Path) -> None:
    furnish(tmp_path, "task.yaml", "data/rows.csv", ".git/config", ".env", "runs/a/report.json", "data/big.bin", "x/__pycache__/y")  # fmt: skip
    found = sent(command(tmp_path), ("runs", "*.bin"))
    assert [path.as_posix() for path in found.files] == ["data/rows.csv", "task.yaml"]
    assert found.size == len("data/rows.csv") + len("task.yaml")


def test_a_command_names_nothing_that_stays_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    furnish(home, "task.yaml", "runs/a/x")
    furnish(tmp_path, "other.yaml")
    for words, line in [
        (("tune", "../other.yaml"), "lies outside"),
        (("tune", str(home / "task.yaml")), "lies outside"),
        (("tune", "task.yaml", f"--base={tmp_path}"), "lies outside"),
        (("report", "runs/a"), "is not sent"),
    ]:
        with pytest.raises(RungError, match=line):
            sent(command(home, *words), ("runs",))
    assert sent(command(home, "tune", "task.yaml", "--base", "owner/name"), ("runs",)).files


def test_too_much_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(tmp_path, "task.yaml", "a", "b")
    monkeypatch.setattr("rung.submit.folder.MOST_FILES", 2)
    with pytest.raises(RungError, match="more than 2 files"):
        sent(command(tmp_path), ())


# -- SageMaker ---------------------------------------------------------------------------------------------------------


def test_a_request_is_one_that_the_service_can_read(tmp_path: Path) -> None:
    """Against the description of the service that botocore holds."""
    session = pytest.importorskip("botocore.session", reason="boto3 is not installed")
    from botocore.validate import ParamValidator

    settings = SageMaker(**{**vars(WHOLE), "spot": True, "hours": 2.0, "env": {"A": "1"}})
    asked = request("job", command(tmp_path), settings)
    shape = session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob").input_shape
    assert ParamValidator().validate(asked, shape).generate_report() == ""
    assert asked["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}
    assert asked["CheckpointConfig"]["S3Uri"] == "s3://rung-jobs/here/job/checkpoints"
    assert json.loads(asked["HyperParameters"]["command"]) == ["tune", "task.yaml", "--base", "tiny"]
    assert json.loads(json.dumps(asked)) == asked


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"role": ""}, "role is missing"),
        ({"role": "rung"}, "role is 'rung'"),
        ({"image": ""}, "image is missing"),
        ({"bucket": "rung-jobs"}, "bucket is 'rung-jobs'; give s3://bucket/prefix"),
        ({"instance": "g5.xlarge"}, "instance is 'g5.xlarge'; give ml.g5.xlarge"),
        ({"checkpoints": "x"}, "checkpoints is 'x'"),
    ],
)
def test_a_request_that_is_not_whole_is_refused(changed: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(RungError, match=re.escape(line)):
        request("job", command(tmp_path), SageMaker(**{**vars(WHOLE), **changed}))


def test_keys_are_in_no_error() -> None:
    told = _without_keys("denied for AKIAABCDEFGHIJKLMNOP at https://x?Signature=abc123")
    assert "AKIA" not in told and "abc123" not in told


# -- inside a training job ---------------------------------------------------------------------------------------------


def job_root(folder: Path, words: list[str], processes: int = 1) -> Path:
    root = folder / "ml"
    (root / "input" / "config").mkdir(parents=True)
    given = {"command": json.dumps(words), "processes": str(processes)}
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(given))
    furnish(root / "input" / "data" / entry.CHANNEL, "rows.csv")
    return root


def test_a_job_runs_its_command_and_keeps_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = job_root(tmp_path, ["init", "rows.csv"])
    (root / "input" / "data" / entry.CHANNEL / "rows.csv").write_text(
        "text,label\n" + "".join(f"word {n},{'ab'[n % 2]}\n" for n in range(60))
    )
    assert entry.main(root) == 0
    assert (root / "model" / "task.yaml").read_text().startswith("# Written by `rung init`")
    assert not (root / "model" / "rows.csv").exists() and not (root / "output" / "failure").exists()
    # The same job again, as after an interruption: what was written is found, and refused by the command itself.
    assert entry.main(root) == 2
    assert "rung init ended with exit code 2" in (root / "output" / "failure").read_text()


def test_an_interrupted_job_finds_its_files_as_they_were(tmp_path: Path) -> None:
    root = job_root(tmp_path, ["ledger", "show"])
    furnish(root / "checkpoints" / entry.CHANNEL, "rows.csv")
    (root / "checkpoints" / entry.CHANNEL / "rows.csv").write_text("changed since")
    entry.main(root)
    assert (root / "checkpoints" / entry.CHANNEL / "rows.csv").read_text() == "changed since"
