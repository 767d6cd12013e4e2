"""`rung submit` through the real command line: a script that stops and goes on, and jobs of a stand-in for AWS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_processes import curve, recipe
from tickets import Command

from rung.submit import entry

CLIMB = ("climb", "task.yaml", "--base", "llama", "--out", "run", "--only", "zero-shot")


# -- Slurm -------------------------------------------------------------------------------------------------------------


def program(folder: Path, name: str, text: str) -> None:
    """A program of Slurm's, which no test machine has: it only notes what it was asked."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    (place / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "{folder}/asked.txt"\n{text}\n')
    (place / name).chmod(0o755)


def test_a_job_whose_time_is_up_goes_on_in_its_next_turn(place: Path, rung: Command) -> None:
    said = rung("submit", "--to", "slurm", "--name", "one", "--set", "hours=1", *CLIMB)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"wrote   {place}/one.sbatch\nnext    sbatch {place}/one.sbatch\n"
    program(place, "scontrol", "")
    around = {**os.environ, "SLURM_JOB_ID": "41", "PATH": f"{place}/bin:{os.environ['PATH']}"}
    # Slurm's --signal reaches the batch shell alone.
    turn = subprocess.Popen(["bash", "one.sbatch"], env=around, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    limit = time.monotonic() + 120
    while not (place / "run" / "identity.json").exists():
        assert time.monotonic() < limit and turn.poll() is None
        time.sleep(0.05)
    turn.send_signal(signal.SIGUSR1)
    told = turn.communicate(timeout=60)[1]
    assert "the time is nearly up" in told
    assert (place / "asked.txt").read_text() == "scontrol requeue 41\n"
    assert not (place / "run" / "report.json").exists()
    again = subprocess.run(["bash", "one.sbatch"], env=around, capture_output=True, text=True, check=False)
    assert again.returncode in (0, 1), again.stderr
    assert (place / "run" / "report.json").exists() and "Traceback" not in again.stderr


def pretrained(folder: Path, out: str) -> list[list[float]]:
    """The loss curve of a small recipe in two processes, never stopped."""
    words = ["pretrain", "recipe.yaml", "--out", out, "--nproc", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "rung", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return curve(folder / out)


def until_a_checkpoint(work: Path, turn: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 240
    while not list((work / "checkpoints").glob("checkpoint-*")):
        assert time.monotonic() < limit and turn.poll() is None
        time.sleep(0.1)


@pytest.mark.slow
def test_a_training_over_processes_goes_on_to_the_bit(place: Path, rung: Command) -> None:
    """torchrun is real, the second turn begins at the first one's checkpoint, and the curve is that of one turn."""
    recipe(place, steps=60)
    whole = pretrained(place, "whole")
    words = ("--set", "processes=2", "--set", "port=29737", "pretrain", "recipe.yaml", "--out", "parts")
    assert rung("submit", "--to", "slurm", "--name", "two", *words).code == 0
    program(place, "scontrol", '[ "$1" != show ] || echo localhost')
    around = {**os.environ, "SLURM_JOB_ID": "42", "SLURM_JOB_NODELIST": "localhost", "PATH": f"{place}/bin:{os.environ['PATH']}"}  # fmt: skip
    turn = subprocess.Popen(["bash", "two.sbatch"], env=around, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    until_a_checkpoint(place / "parts.work", turn)
    turn.send_signal(signal.SIGUSR1)
    turn.communicate(timeout=60)
    assert (place / "asked.txt").read_text().splitlines()[-1] == "scontrol requeue 42"
    assert not (place / "parts").exists()
    again = subprocess.run(["bash", "two.sbatch"], env=around, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert curve(place / "parts") == whole


@pytest.mark.slow
def test_a_training_job_whose_machine_is_taken_goes_on_to_the_bit(place: Path) -> None:
    """The container's folders, here; a spot machine is taken with SIGTERM, and its checkpoints are carried over."""
    recipe(place, steps=60)
    whole = pretrained(place, "whole")
    root = place / "ml"
    (root / "input" / "config").mkdir(parents=True)
    given = {"command": json.dumps(["pretrain", "recipe.yaml", "--out", "parts"]), "processes": "2"}
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(given))
    sent = root / "input" / "data" / "work"
    sent.mkdir(parents=True)
    for name in ("recipe.yaml", "a.txt"):
        shutil.copy(place / name, sent / name)
    code = (
        f"import sys; from pathlib import Path; from rung.submit.entry import main; sys.exit(main(Path({str(root)!r})))"
    )
    command = [sys.executable, "-c", code]
    turn = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until_a_checkpoint(root / "checkpoints" / "work" / "parts.work", turn)
    turn.send_signal(signal.SIGTERM)
    turn.communicate(timeout=60)
    assert turn.returncode != 0 and "ended with exit code" in (root / "output" / "failure").read_text()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert curve(root / "model" / "parts") == whole


def test_a_script_is_handed_in_followed_and_stopped(
    place: Path, rung: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = rung("submit", "--to", "slurm", "--start", *CLIMB)
    assert missing.code == 2 and missing.err.startswith("rung: slurm: there is no sbatch on this machine; ")
    assert not list(place.glob("*.sbatch"))
    monkeypatch.setenv("PATH", f"{place}/bin:{os.environ['PATH']}")
    program(place, "sbatch", "echo '12;main'")
    program(place, "squeue", f'[ -e "{place}/gone" ] || echo "RUNNING job 12"')
    program(place, "sacct", "echo 'COMPLETED|12|0:10:00|0:0'")
    program(place, "scancel", "")
    said = rung("submit", "--to", "slurm", "--name", "two", "--start", *CLIMB)
    assert said.out.splitlines()[-1] == "started job 12"
    once = rung("submit", "--to", "slurm", "--status", "two", "--once")
    assert once.code == 0 and "RUNNING job 12" in once.out
    assert rung("submit", "--to", "slurm", "--stop", "two").code == 0
    (place / "gone").touch()
    over = rung("submit", "--to", "slurm", "--status", "two")
    assert over.code == 0 and "COMPLETED job 12, 0:10:00, exit code 0:0" in over.out
    asked = (place / "asked.txt").read_text()
    assert f"sbatch --parsable {place}/two.sbatch" in asked and "scancel --me --name=two" in asked


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "submit: no command is given; rung submit --to slurm pretrain RECIPE --out DIR"),
        ("--to slurm plam task.yaml", "no such verb plam; did you mean plan?"),
        ("--to slurm climb task.yaml --bse llama", "climb: no such option --bse; did you mean --base?"),
        (
            "climb task.yaml --to slurm",
            "submit: --to stands behind the command; options of submit come first: rung submit --to slurm pretrain RECIPE --out DIR",
        ),
        ("--to slurm --settings no.yaml plan x", "no.yaml: cannot be read (…); name a YAML file"),
        ("--to slurm --settings task.yaml plan x", "task.yaml: holds no submit: mapping; write submit: {to: slurm, gpus: 1}"),
        ("--to slurm --out rows.csv climb task.yaml --base x", "rows.csv: is there already; name another with --out or --name"),
        ("--to slurm --name a_b climb task.yaml --base x", "--name: 'a_b' cannot be a job's name; use letters, digits and -, at most 63"),
        ("--to sagemaker climb task.yaml --base x", "submit: role is missing; give arn:aws:iam::123456789012:role/NAME"),
    ],
)  # fmt: skip
def test_a_slip_is_one_line(words: str, line: str, place: Path, rung: Command) -> None:
    import re

    before = sorted(place.rglob("*"))
    said = rung("submit", *words.split())
    assert (said.code, said.out) == (2, "")
    assert re.fullmatch(".*".join(map(re.escape, f"rung: {line}\n".split("…"))), said.err), said.err
    assert sorted(place.rglob("*")) == before


# -- SageMaker ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that speaks as AWS does, on this machine; boto3 is led there by its own variables."""
    pytest.importorskip("boto3", reason="boto3 is not installed")
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(
        port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "testing", "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_SECRET_ACCESS_KEY": "nobody-knows-this", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    import boto3

    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    boto3.client("s3").create_bucket(Bucket="rung-jobs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield boto3
    server.stop()


@pytest.fixture
def settings(place: Path) -> Path:
    file = place / "job.yaml"
    file.write_text(
        "submit: {to: sagemaker, role: 'arn:aws:iam::123456789012:role/rung', image: 'rung:1', bucket: 's3://rung-jobs/a', "
        "instance: ml.g5.xlarge, spot: true, hours: 2, leave: [runs, home]}\n"
    )
    return file


def furnished(cloud: Any, name: str, root: Path) -> Path:
    """The folders that SageMaker gives a container of this job."""
    job = cloud.client("sagemaker").describe_training_job(TrainingJobName=name)
    (root / "input" / "config").mkdir(parents=True)
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(job["HyperParameters"]))
    (channel,) = job["InputDataConfig"]
    bucket, _, prefix = channel["DataSource"]["S3DataSource"]["S3Uri"].removeprefix("s3://").partition("/")
    store = cloud.client("s3")
    for one in store.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        file = root / "input" / "data" / channel["ChannelName"] / one["Key"].removeprefix(prefix)
        file.parent.mkdir(parents=True, exist_ok=True)
        store.download_file(bucket, one["Key"], str(file))
    return root


def test_what_was_sent_is_all_that_the_command_needs(
    place: Path, rung: Command, cloud: Any, settings: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "llama").unlink()
    (place / "sub").mkdir()
    (place / "rows.csv").rename(place / "sub" / "rows.csv")
    (place / "task.yaml").write_text((place / "task.yaml").read_text().replace("rows.csv", "sub/rows.csv"))
    said = rung("submit", "--settings", settings, "--name", "plan", "--start", "plan", "task.yaml", "--base", "tiny")
    assert said.code == 0, said
    assert entry.main(furnished(cloud, "plan", place / "ml")) == 0
    assert "task    tickets (classify): train 20, validation 20, test 20" in capfd.readouterr().out


def test_a_training_job_is_sent_started_and_followed(place: Path, rung: Command, cloud: Any, settings: Path) -> None:
    (place / "llama").unlink()  # a link to a folder elsewhere; the base of this job is a bundled one
    words = ("submit", "--settings", settings, "--name", "one")
    climb = ("climb", "task.yaml", "--base", "tiny", "--out", "run")
    wrote = rung(*words, climb[0], *climb[1:])
    assert wrote.code == 0 and not wrote.err and "3 files" in wrote.out
    assert cloud.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    again = rung(*words, "--start", *climb)
    assert again.code == 2 and "is there already" in again.err
    said = rung(*words, "--out", "started.json", "--start", *climb)
    assert said.code == 0 and not said.err
    assert "started arn:aws:sagemaker:eu-west-1:" in said.out
    sent = {one["Key"] for one in cloud.client("s3").list_objects_v2(Bucket="rung-jobs")["Contents"]}
    assert sent == {f"a/one/input/{name}" for name in ("task.yaml", "rows.csv", "job.yaml", "one.json")}
    job = cloud.client("sagemaker").describe_training_job(TrainingJobName="one")
    assert json.loads(job["HyperParameters"]["command"]) == list(climb)
    assert job["EnableManagedSpotTraining"] is True
    assert job["CheckpointConfig"] == {"S3Uri": "s3://rung-jobs/a/one/checkpoints", "LocalPath": "/opt/ml/checkpoints"}
    kept = (place / "started.json").read_text() + said.out + wrote.out
    assert "nobody-knows-this" not in kept
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    logs.create_log_stream(logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="one/algo-1")
    line = {"timestamp": int(time.time() * 1000), "message": "step 12 of 100"}
    logs.put_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="one/algo-1", logEvents=[line])
    followed = rung("submit", "--settings", settings, "--status", "one")
    assert followed.code == 0 and not followed.err
    assert "Starting: Preparing the instances" in followed.out and "  step 12 of 100" in followed.out
    assert "one: Completed" in followed.out and "results s3://rung-jobs/a/one/output/model.tar.gz" in followed.out


def test_a_job_that_fails_or_is_stopped_says_so(
    place: Path, rung: Command, cloud: Any, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.sagemaker.models import sagemaker_backends
    from moto.sagemaker.responses import SageMakerResponse

    (place / "llama").unlink()
    assert rung("submit", "--settings", settings, "--name", "two", "--start", "plan", "task.yaml", "--base", "tiny").code == 0  # fmt: skip
    job = sagemaker_backends["123456789012"]["eu-west-1"].training_jobs["two"]

    def stop_training_job(response: Any) -> str:  # the stand-in has no such call
        job.training_job_status = "Stopped"
        return "{}"

    monkeypatch.setattr(SageMakerResponse, "stop_training_job", stop_training_job, raising=False)
    over = rung("submit", "--settings", settings, "--stop", "two")
    assert over.code == 2 and over.err == "rung: sagemaker: two is completed already; there is nothing to stop\n"
    job.training_job_status = "InProgress"
    once = rung("submit", "--settings", settings, "--status", "two", "--once")
    assert once.code == 0 and once.out.endswith("two: InProgress\n")
    assert rung("submit", "--settings", settings, "--stop", "two").code == 0
    stopped = rung("submit", "--settings", settings, "--status", "two")
    assert stopped.code == 1 and "two: Stopped" in stopped.out
    job.training_job_status, job.failure_reason = "Failed", "rung tune ended with exit code 2"
    failed = rung("submit", "--settings", settings, "--status", "two")
    assert failed.code == 1 and "two: Failed (rung tune ended with exit code 2)" in failed.out


def test_what_the_service_refuses_is_one_line(
    place: Path, rung: Command, cloud: Any, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "llama").unlink()
    start = ("submit", "--settings", settings, "--name", "three", "--start")
    plan = ("plan", "task.yaml", "--base", "tiny")
    missing = rung("submit", "--settings", settings, "--status", "nothere")
    assert missing.code == 2 and missing.err == "rung: sagemaker: no training job 'nothere'; check the name and the region\n"  # fmt: skip
    nowhere = rung(*start, "--set", "bucket=s3://no-such-bucket/a", *plan)
    assert nowhere.code == 2 and nowhere.err.count("\n") == 1 and "NoSuchBucket" in nowhere.err
    (place / "three.json").unlink()
    assert rung(*start, *plan).code == 0
    (place / "three.json").unlink()
    twice = rung(*start, *plan)
    assert twice.code == 2 and "a training job 'three' is there already" in twice.err
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(place / "none"))
    monkeypatch.setattr(cloud, "DEFAULT_SESSION", None)  # it keeps the keys that it found
    unknown = rung("submit", "--settings", settings, "--status", "three")
    assert unknown.code == 2 and "sign in (aws configure)" in unknown.err
