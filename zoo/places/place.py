"""Where a run happens, parsed once from what flags or a caller say. Nothing here imports TensorFlow."""

import dataclasses
import os

from zoo.errors import RequestError, unknown
from zoo.places.cluster import Cluster, cluster_of_flags, cluster_of_tf_config

MULTI_WORKER = "multi_worker_mirrored"
STRATEGIES = ("auto", "one_device", "mirrored", MULTI_WORKER, "tpu")
_REFUSED = ("parameter_server", "central_storage")


@dataclasses.dataclass(frozen=True)
class Place:
    """The devices and processes of a run. The batch and the learning rate are the same in each.

    Attributes:
        strategy: `one_device`: the first GPU, or the CPU. `mirrored`: a replica on every GPU, or on every logical CPU
            device where there is no GPU. `multi_worker_mirrored`: every GPU, or the CPU, of each of several processes.
            `tpu`: every core of a TPU. `auto`: a TPU if there is one here or `tpu` names it, else `mirrored` where
            there are several GPUs, else `one_device`.
        devices: of `mirrored`: how many replicas, on as many GPUs, or where there is no GPU on logical devices that
            share the CPU; None: one on each device there is.
        tpu: of `tpu` and `auto`: the TPU's address, or `local` for the one in this machine.
        cluster: of `multi_worker_mirrored`: the processes; None where SLURM started them, whose hosts TensorFlow must
            look up.
    """

    strategy: str = "one_device"
    devices: int | None = None
    tpu: str = ""
    cluster: Cluster | None = None

    def __post_init__(self):
        if self.strategy in _REFUSED:
            raise RequestError(
                f"strategy {self.strategy} is not offered: Keras 3 does not support it (keras issue 18624); use "
                f"mirrored or {MULTI_WORKER}"
            )
        if self.strategy not in STRATEGIES:
            raise unknown("strategy", self.strategy, STRATEGIES)
        if self.devices is not None and (self.strategy != "mirrored" or self.devices < 1):
            raise RequestError(f"strategy {self.strategy} cannot take {self.devices} devices; write mirrored:2")
        if self.tpu and self.strategy not in ("auto", "tpu"):
            raise RequestError(f"--tpu goes with --strategy=tpu or auto; strategy is {self.strategy!r}")
        if self.strategy == "tpu" and not self.tpu:
            raise RequestError("strategy tpu needs --tpu=ADDRESS, or --tpu=local for the TPU of this machine")
        if self.cluster and self.strategy != MULTI_WORKER:
            raise RequestError(f"--worker_hosts and --worker_index go with --strategy={MULTI_WORKER}")

    @classmethod
    def parse(cls, strategy: str, *, tpu: str = "", worker_hosts: str = "", worker_index: str = "") -> "Place":
        """Reads the flags of the same names, and where they name no workers the environment.

        Args:
            strategy: one of `STRATEGIES`; `mirrored:N` is N devices, `tpu:ADDRESS` and `auto:ADDRESS` name the TPU too.
            tpu: see above.
            worker_hosts: `host:port,host:port`; empty: those of TF_CONFIG, or of SLURM.
            worker_index: which of these hosts this process is, from 0.

        Raises:
            RequestError: the flags do not go together, or no workers are named.
        """
        kind, colon, rest = strategy.partition(":")
        devices = None
        if colon and kind == "mirrored":
            if not rest.isdecimal() or int(rest) < 1:
                raise RequestError(f"strategy is {strategy!r}; mirrored takes a number of devices, as mirrored:2")
            devices = int(rest)
        elif colon and kind in ("auto", "tpu"):
            if not rest or tpu:
                raise RequestError(f"strategy is {strategy!r}; name one TPU, as --strategy={kind} --tpu=ADDRESS")
            tpu = rest
        elif colon and kind in STRATEGIES:
            raise RequestError(f"strategy is {strategy!r}; {kind} takes no number")
        cluster = None
        if kind == MULTI_WORKER:
            cluster = _find_cluster(worker_hosts, worker_index)
        elif worker_hosts or worker_index:
            raise RequestError(f"--worker_hosts and --worker_index go with --strategy={MULTI_WORKER}")
        return cls(kind, devices, tpu, cluster)

    @classmethod
    def of(cls, strategy: "Place | str") -> "Place":
        """The place itself, or the one that a string alone names."""
        return strategy if isinstance(strategy, Place) else cls.parse(strategy)

    @property
    def name(self) -> str:
        """The strategy as `--strategy` has it: `mirrored:2`."""
        return self.strategy if self.devices is None else f"{self.strategy}:{self.devices}"

    @property
    def has_workers(self) -> bool:
        """Whether this is one process of several."""
        return self.strategy == MULTI_WORKER

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes: worker 0, or the only one there is."""
        if not self.has_workers:
            return True
        return self.cluster.index == 0 if self.cluster else os.environ.get("SLURM_PROCID") == "0"


ONE_DEVICE = Place()


def _find_cluster(worker_hosts: str, worker_index: str) -> Cluster | None:
    """The workers that the flags name, or else TF_CONFIG; None: those of SLURM."""
    if worker_hosts or worker_index:
        return cluster_of_flags(worker_hosts, worker_index)
    if os.environ.get("TF_CONFIG"):
        return cluster_of_tf_config(os.environ["TF_CONFIG"])
    if "SLURM_PROCID" in os.environ:
        return None
    raise RequestError(
        f"strategy {MULTI_WORKER} finds no cluster; give --worker_hosts=host:port,host:port and --worker_index, set "
        "TF_CONFIG, or start it with srun"
    )
