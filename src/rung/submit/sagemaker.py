"""A command as a training job of Amazon SageMaker: the request, the folder on its way to S3, and the job followed.

The folder becomes the job's input, and what the command writes is kept in the checkpoints that SageMaker carries to S3
and back, so that a spot job that was interrupted goes on. Credentials come from boto3's own chain and are seen nowhere
here. What happens inside the job is in `entry`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rung.errors import MissingExtra, RungError
from rung.submit.command import Command
from rung.submit.entry import CHANNEL
from rung.submit.folder import Sent
from rung.submit.settings import SageMaker

ENDED = ("Completed", "Failed", "Stopped")
LONGEST = 2500
"""Characters of a hyperparameter."""
LOGS = "/aws/sagemaker/TrainingJobs"
Say = Callable[[str], None]


def request(name: str, command: Command, settings: SageMaker) -> dict[str, Any]:
    """What `create_training_job` is asked. Raises RungError for settings that are not whole."""
    settings.check_whole()
    command.check_spread(1, settings.processes)
    words = json.dumps(command.words)
    if len(words) > LONGEST:
        told = f"the command has {len(words):,} characters, and SageMaker takes {LONGEST:,}"
        raise RungError(told, where="sagemaker", mend="put its options into a file")
    place = f"{settings.bucket.rstrip('/')}/{name}"
    seconds = round(settings.hours * 3600)
    limits = {"MaxRuntimeInSeconds": seconds}
    if settings.spot:
        limits["MaxWaitTimeInSeconds"] = round((settings.wait_hours or 2 * settings.hours) * 3600)
    return {
        "TrainingJobName": name,
        "RoleArn": settings.role,
        "AlgorithmSpecification": {
            "TrainingImage": settings.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-m", "rung.submit.entry"],
        },
        "HyperParameters": {"command": words, "processes": str(settings.processes)},
        "InputDataConfig": [
            {
                "ChannelName": CHANNEL,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"{place}/input/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": settings.bucket.rstrip("/")},  # SageMaker adds NAME/output
        "CheckpointConfig": {"S3Uri": settings.checkpoints or f"{place}/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
        "ResourceConfig": {
            "InstanceType": settings.instance, "InstanceCount": 1, "VolumeSizeInGB": settings.volume,
        },
        "StoppingCondition": limits,
        "EnableManagedSpotTraining": settings.spot,
        "Environment": dict(sorted(settings.env.items())),
    }  # fmt: skip


def start(asked: dict[str, Any], sent: Sent, settings: SageMaker, say: Say) -> str:
    """Send the folder and create the job; its ARN. Nothing is sent where a job of that name is there.

    Raises RungError for what AWS refuses, and where it cannot be reached.
    """
    name = asked["TrainingJobName"]
    with _told():
        jobs = _client("sagemaker", settings)
        if _described(jobs, name) is not None:
            raise RungError(
                f"a training job {name!r} is there already", where="sagemaker", mend="name another with --name"
            )
        _send(sent, asked["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"], settings, say)
        return str(jobs.create_training_job(**asked)["TrainingJobArn"])


def _send(sent: Sent, place: str, settings: SageMaker, say: Say) -> None:
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    store = _client("s3", settings)
    for number, path in enumerate(sent.files, 1):
        store.upload_file(str(sent.folder / path), bucket, f"{prefix}{path.as_posix()}")
        if number % 100 == 0:
            say(f"sent    {number:,} of {len(sent.files):,} files")
    say(f"sent    {len(sent.files):,} files, {sent.size / 1e6:,.1f} MB, to {place}")


def follow(name: str, settings: SageMaker, say: Say, *, once: bool = False, pause: float = 20.0) -> bool | None:
    """Say how a job goes, its log lines included, until it ends (or once): whether it completed; None: under way.

    Raises RungError where there is no such job.
    """
    seen, read = 0, {}  # type: tuple[int, dict[str, str]]
    while True:
        with _told():
            job = _known(_client("sagemaker", settings), name)
            steps = job.get("SecondaryStatusTransitions") or []
            for step in steps[seen:]:
                say(
                    f"{step['StartTime']:%Y-%m-%d %H:%M:%S}  {step['Status']}: {step.get('StatusMessage', '')}".rstrip(
                        ": "
                    )
                )
            seen = len(steps)
            for line in _log_lines(_client("logs", settings), name, read):
                say(f"  {line}")
        status = str(job["TrainingJobStatus"])
        if status in ENDED or once:
            say(f"{name}: {status}" + (f" ({job['FailureReason']})" if job.get("FailureReason") else ""))
            if status == "Completed":
                say(f"results {job['ModelArtifacts']['S3ModelArtifacts']}")
            return status == "Completed" if status in ENDED else None
        time.sleep(pause)


def stop(name: str, settings: SageMaker) -> None:
    """Ask a job to stop; what it wrote is kept in its checkpoints. Raises RungError where it is not running."""
    with _told():
        jobs = _client("sagemaker", settings)
        status = _known(jobs, name)["TrainingJobStatus"]
        if status != "InProgress":
            raise RungError(
                f"{name} is {str(status).lower()} already", where="sagemaker", mend="there is nothing to stop"
            )
        jobs.stop_training_job(TrainingJobName=name)


def _known(jobs: Any, name: str) -> Any:
    job = _described(jobs, name)
    if job is None:
        raise RungError(f"no training job {name!r}", where="sagemaker", mend="check the name and the region")
    return job


def _described(jobs: Any, name: str) -> Any:
    """What SageMaker knows of a job; None where there is none of that name."""
    from botocore.exceptions import ClientError

    try:
        return jobs.describe_training_job(TrainingJobName=name)
    except ClientError as error:
        said = error.response["Error"]
        # SageMaker has no class of error for it: a ValidationException whose words say so.
        if "not find" in said.get("Message", "") or said.get("Code") == "ResourceNotFound":
            return None
        raise


def _log_lines(logs: Any, name: str, read: dict[str, str]) -> Iterator[str]:
    """The lines of a job's log that are new; `read` holds where each stream was left."""
    from botocore.exceptions import ClientError

    try:
        streams = logs.describe_log_streams(logGroupName=LOGS, logStreamNamePrefix=f"{name}/")["logStreams"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":  # nothing was said yet
            return
        raise
    for stream in streams:
        place = stream["logStreamName"]
        after = {"nextToken": read[place]} if place in read else {}
        page = logs.get_log_events(logGroupName=LOGS, logStreamName=place, startFromHead=True, **after)
        yield from (str(event["message"]).rstrip("\n") for event in page["events"])
        read[place] = page["nextForwardToken"]


def _client(service: str, settings: SageMaker) -> Any:
    try:
        import boto3
    except ImportError as error:
        raise MissingExtra("cloud", needs="the package boto3", what="a job of SageMaker") from error
    return boto3.client(service, region_name=settings.region or None)


@contextmanager
def _told() -> Iterator[None]:
    """What AWS refuses, or that it cannot be reached, as one line."""
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise MissingExtra("cloud", needs="the package boto3", what="a job of SageMaker") from error
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        mends = {
            "NoCredentialsError": "sign in (aws configure), or give the machine a role",
            "NoRegionError": "give --set region=eu-west-1, or AWS_REGION",
            "EndpointConnectionError": "check the connection and the region",
        }
        mend = mends.get(type(error).__name__, "mend the settings, or ask for the permission")
        raise RungError(_without_keys(str(error)), where="sagemaker", mend=mend) from error


def _without_keys(told: str) -> str:
    """An error of AWS, without access keys and signatures that it may repeat."""
    return re.sub(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|(?<=Signature=)\S+", "…", told)
