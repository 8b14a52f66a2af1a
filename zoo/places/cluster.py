"""The processes of a job over several machines: where each listens, and which of them this one is.

Nothing here imports TensorFlow.
"""

import dataclasses
import json
import re

from zoo.errors import RequestError

_HOST = re.compile(r"\S+:\d{1,5}")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a job.

    Attributes:
        hosts: `host:port` of each; every process must give them in the same order.
        index: which of the hosts this process is, from 0. Worker 0 is the chief.
        source: where this is known from, for messages.

    Raises:
        RequestError: a host is malformed or named twice, or the index is none of theirs.
    """

    hosts: tuple[str, ...]
    index: int
    source: str

    def __post_init__(self):
        object.__setattr__(self, "hosts", tuple(self.hosts))
        wrong = [host for host in self.hosts if not _HOST.fullmatch(host)]
        if wrong or not self.hosts or len(set(self.hosts)) < len(self.hosts):
            shown = repr(wrong[0]) if wrong else repr(",".join(self.hosts))
            raise RequestError(f"{self.source} has {shown}; it must be different host:port,host:port")
        if not 0 <= self.index < len(self.hosts):
            raise RequestError(
                f"{self.source} says this is worker {self.index}; there are {len(self.hosts)}, numbered from 0"
            )


def cluster_of_flags(hosts: str, index: str) -> Cluster:
    """The workers that --worker_hosts and --worker_index name.

    Raises:
        RequestError: only one of the two is given, or they are wrong.
    """
    if not hosts or not index:
        raise RequestError("--worker_hosts and --worker_index go together")
    if not index.isdecimal():
        raise RequestError(f"--worker_index is {index!r}; it must be a number from 0")
    return Cluster(tuple(hosts.split(",")), int(index), "--worker_hosts")


def cluster_of_tf_config(text: str) -> Cluster:
    """The workers that the variable TF_CONFIG names, where a job named `chief` is worker 0.

    Raises:
        RequestError: the text is no TF_CONFIG, or has jobs that do not train.
    """
    try:
        config = json.loads(text)
        jobs = {job: list(hosts) for job, hosts in config["cluster"].items()}
        job, index = config["task"]["type"], int(config["task"]["index"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            'TF_CONFIG must be {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}; '
            f"it is {text!r}"
        ) from error
    other = sorted({*jobs, job} - {"chief", "worker"})
    if other:
        raise RequestError(f"TF_CONFIG has a job {other[0]!r}; there are chief and worker, which all train")
    chiefs = jobs.get("chief", [])
    hosts = [*chiefs, *jobs.get("worker", [])]
    return Cluster(tuple(map(str, hosts)), index if job == "chief" else len(chiefs) + index, "TF_CONFIG")
