"""The processes of a job over several machines: where each listens, and which of them this one is.

It imports no TensorFlow, save to read the hosts of a SLURM job and to join only to say no.
"""

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterator

from zoo.errors import RequestError

MULTI_WORKER = "multi_worker_mirrored"
_HOST = re.compile(r"\S+:\d{1,5}")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a job.

    Attributes:
        hosts: `host:port` of each; every process must give them in the same order.
        index: of this process among them. The chief is worker 0.
        source: where this is known from.
    """

    hosts: tuple[str, ...]
    index: int
    source: str

    def __post_init__(self):
        wrong = [host for host in self.hosts if not _HOST.fullmatch(host)]
        if wrong or not self.hosts or len(set(self.hosts)) < len(self.hosts):
            shown = repr(wrong[0]) if wrong else repr(",".join(self.hosts))
            raise RequestError(f"{self.source} has {shown}; it must be different host:port,host:port")
        if not 0 <= self.index < len(self.hosts):
            raise RequestError(
                f"{self.source} says this is worker {self.index}; there are {len(self.hosts)}, numbered from 0"
            )


def strategy_of_flags(hosts: str, index: str) -> str:
    """The strategy's name with the flags --worker_hosts and --worker_index in it, as `find_cluster` reads it.

    Raises:
        ValueError: only one of the two is given.
    """
    if not hosts and not index:
        return MULTI_WORKER
    if not hosts or not index:
        raise RequestError("--worker_hosts and --worker_index go together")
    return f"{MULTI_WORKER}:{index}@{hosts}"


def of_several(strategy: str) -> bool:
    """Whether a strategy is one of several processes.

    Args:
        strategy: see `zoo.training.strategy.make_strategy`.
    """
    return strategy.partition(":")[0] == MULTI_WORKER


def is_chief(strategy: str) -> bool:
    """Whether this process is the one that writes; known before TensorFlow is there.

    Args:
        strategy: see `zoo.training.strategy.make_strategy`.
    """
    if not of_several(strategy):
        return True
    if _by_slurm(strategy):
        return os.environ["SLURM_PROCID"] == "0"
    return find_cluster(strategy).index == 0


def find_cluster(strategy: str) -> Cluster:
    """The cluster that `multi_worker_mirrored[:INDEX@HOSTS]` names, or else TF_CONFIG, or else SLURM.

    Raises:
        ValueError: there is none, or it is wrong.
    """
    name, _, given = strategy.partition(":")
    if given:
        index, _, hosts = given.partition("@")
        if not index.isdecimal():
            raise RequestError(f"--worker_index is {index!r}; it must be a number from 0")
        return Cluster(tuple(hosts.split(",")), int(index), "--worker_hosts")
    if os.environ.get("TF_CONFIG"):
        return _of_tf_config(os.environ["TF_CONFIG"])
    if _by_slurm(strategy):
        return _of_slurm()
    raise RequestError(
        f"strategy {name} finds no cluster; give --worker_hosts=host:port,host:port and --worker_index, set TF_CONFIG, "
        "or start it with srun"
    )


@contextlib.contextmanager
def refusals_told(strategy: str) -> Iterator[None]:
    """Where a request is refused in here, one worker of several joins the others first, to tell them.

    They would wait for it for ever. It is for what may differ between workers with the same flags, as each looks into
    the workdir for itself, and for the time before they have joined. With other flags than the rest a worker is refused
    at once, and the others wait until it is started again.

    Args:
        strategy: see `zoo.training.strategy.make_strategy`.
    """
    try:
        yield
    except RequestError:
        if of_several(strategy):
            from zoo.training.experiment import join_to_refuse

            join_to_refuse(strategy)
        raise


def _by_slurm(strategy: str) -> bool:
    return ":" not in strategy and not os.environ.get("TF_CONFIG") and "SLURM_PROCID" in os.environ


def _of_tf_config(text: str) -> Cluster:
    """TF_CONFIG, where a job named `chief` is worker 0."""
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


def _of_slurm() -> Cluster:
    """The tasks of a SLURM job step, as TensorFlow's resolver finds them."""
    import tensorflow as tf

    try:
        tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
        # The resolver is asked for hosts only. It would share out the GPUs of a node too, which --gpus-per-task has
        # done already, and it fails where there are none: so it is told of one for each task.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        hosts = resolver.cluster_spec().as_dict()["worker"]
        return Cluster(tuple(hosts), resolver.task_id, "SLURM")
    except (KeyError, RuntimeError, ValueError) as error:
        raise RequestError(f"SLURM's variables do not say where the tasks are: {error}; start it with srun") from error
