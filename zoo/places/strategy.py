"""The devices of a run: how many threads on a CPU, which GPUs, and a place to a `tf.distribute.Strategy`."""

import functools
import glob
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable
from concurrent import futures

import tensorflow as tf

from zoo.errors import RequestError, RunError
from zoo.places.cluster import Cluster
from zoo.places.place import MULTI_WORKER, Place

# How the lines begin with which a compiled function says where an operation was made.
_TRACE = ("Graph execution error:", "Detected at node", "<stack traces unavailable>", '  File "', "    ")


def set_cpu_threads(count: int) -> None:
    """Sets how many threads an operation may use on the CPU; 0 leaves TensorFlow its default, one per core.

    Threads cost a wake-up per operation. Where an operation takes microseconds that is most of its time, and
    one thread is up to twice as fast as two. The order of sums, and with it the last bits of a result, follows
    from the number.
    """
    if count == tf.config.threading.get_intra_op_parallelism_threads():
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
    except RuntimeError:
        warnings.warn(
            f"cpu_threads={count} has no effect: TensorFlow has already started in this process", stacklevel=2
        )


# One object for each place: a second one would number its collective operations from the start again, and TensorFlow
# takes those for the first one's.
@functools.cache
def make_strategy(place: Place) -> tf.distribute.Strategy:
    """Makes the strategy of a place; one of several workers waits here for all of them.

    Dropout draws the same masks on every replica, each for its own examples.

    Raises:
        RequestError: the devices cannot be had.
        RunError: the workers do not come together.
    """
    if place.strategy == "auto":
        return _auto(place.tpu)
    if place.strategy == "one_device":
        return tf.distribute.get_strategy()
    if place.strategy == MULTI_WORKER:
        return _multi_worker(find_cluster(place))
    if place.strategy == "tpu":
        return _tpu(place.tpu)
    return _mirrored(place.devices)


def find_cluster(place: Place) -> Cluster:
    """The workers of a place, looked up where SLURM started them.

    Raises:
        RequestError: SLURM's variables do not say where they are.
    """
    return place.cluster or _cluster_of_slurm()


def ahead_on_device(blocks: tf.data.Dataset) -> tf.data.Dataset:
    """The blocks, copied to the GPU while those before them are trained on; where there is none, as they are.

    It is for one replica: `tf.distribute` does the same for several.
    """
    gpus = tf.config.list_logical_devices("GPU")
    return blocks.apply(tf.data.experimental.prefetch_to_device(gpus[0].name, 2)) if gpus else blocks


def gpus() -> list[dict[str, str]]:
    """The name and the compute capability of each GPU that TensorFlow sees, and the CUDA and cuDNN it was built for."""
    cards = tf.config.list_physical_devices("GPU")
    built = tf.sysconfig.get_build_info() if cards else {}
    details = [tf.config.experimental.get_device_details(gpu) for gpu in cards]
    return [
        {
            "name": each.get("device_name", "unknown"),
            "compute_capability": ".".join(map(str, each.get("compute_capability", ()))),
            "cuda": str(built.get("cuda_version", "")),
            "cudnn": str(built.get("cudnn_version", "")),
        }
        for each in details
    ]


def describe(strategy: tf.distribute.Strategy) -> str:
    """In words, what a strategy trains on: `1 CPU`, `4 GPUs`, `8 TPU cores`."""
    count = strategy.num_replicas_in_sync
    if is_tpu(strategy):
        return f"{count} TPU core{'s' * (count > 1)}"
    return f"{count} {'GPU' if tf.config.list_physical_devices('GPU') else 'CPU'}{'s' * (count > 1)}"


def strategy_name(strategy: tf.distribute.Strategy) -> str:
    """The name of a strategy, one of `zoo.places.place.STRATEGIES` but `auto`."""
    kinds = {
        tf.distribute.MultiWorkerMirroredStrategy: MULTI_WORKER,
        tf.distribute.MirroredStrategy: "mirrored",
        tf.distribute.TPUStrategy: "tpu",
    }
    return next((name for kind, name in kinds.items() if isinstance(strategy, kind)), "one_device")


def is_tpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether steps run on a TPU, where XLA compiles everything unasked."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def first_line(error: Exception) -> str:
    """The first line of what TensorFlow says of an error, which may run to pages.

    In front of it a compiled function says where in Python each of its operations was made.
    """
    lines = (line for line in str(error).splitlines() if line.strip() and not line.startswith(_TRACE))
    # Behind it come the attributes of an operation.
    return next(lines, type(error).__name__).strip().partition(" with these attrs")[0].rstrip(".")


def _auto(address: str) -> tf.distribute.Strategy:
    if address or os.environ.get("TPU_NAME") or glob.glob("/dev/accel*"):
        return _tpu(address or os.environ.get("TPU_NAME") or "local")
    return _mirrored(None) if len(tf.config.list_physical_devices("GPU")) > 1 else tf.distribute.get_strategy()


def _mirrored(count: int | None) -> tf.distribute.Strategy:
    # Physical devices first: asking for logical ones starts TensorFlow, and the CPU cannot be divided after that.
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus and (count or 0) > gpus:
        there, instead = ("is 1 GPU", "one_device") if gpus == 1 else (f"are {gpus} GPUs", f"mirrored:{gpus}")
        raise RequestError(
            f"strategy is 'mirrored:{count}'; there {there}; take {instead}, or hide the GPUs with "
            "CUDA_VISIBLE_DEVICES= to share the CPU"
        )
    devices = tf.config.list_logical_devices("GPU") if gpus else _cpus(count or 1)
    return tf.distribute.MirroredStrategy([device.name for device in devices][:count])


def _tpu(address: str) -> tf.distribute.Strategy:
    """Joins a TPU.

    Only the errors of this were seen where it was written: no TPU was there to run it on.
    """
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        _check_listens(resolver.master())
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ImportError, OSError, RuntimeError, ValueError) as error:
        raise RequestError(f"there is no TPU at {address!r}: {first_line(error)}; see --tpu, --strategy") from error


def _check_listens(address: str) -> None:
    """Raises an `OSError` where nobody listens at a grpc://host:port: TensorFlow would ask there for ever."""
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=10).close()


def _cluster_of_slurm() -> Cluster:
    """The tasks of a SLURM job step, as TensorFlow's resolver finds them."""
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


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    """Waits for the other workers and joins them; every GPU of each is a replica, or its CPU."""
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.hosts)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    try:
        return _stoppable(lambda: tf.distribute.MultiWorkerMirroredStrategy(resolver))
    except tf.errors.OpError as error:
        raise RunError(
            f"worker {cluster.index}, {cluster.hosts[cluster.index]}, could not join the {len(cluster.hosts)} workers "
            f"of {cluster.source}: {first_line(error)}"
        ) from error


def _stoppable(join: Callable[[], tf.distribute.Strategy]) -> tf.distribute.Strategy:
    """Joins a cluster in a thread, so that SIGINT and SIGTERM can end the process while it waits for the others.

    TensorFlow waits where Python's handlers do not run, and takes SIGTERM for itself when it joins a cluster.
    """
    if threading.current_thread() is not threading.main_thread():
        return join()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with futures.ThreadPoolExecutor(1) as executor:
        joined = executor.submit(join)
        while not joined.done():
            for number, handler in handlers.items():
                signal.signal(number, signal.SIG_IGN if handler is signal.SIG_IGN else signal.SIG_DFL)
            futures.wait([joined], timeout=0.2)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return joined.result()


def _cpus(count: int) -> list:
    """Logical devices on the CPU; they can be made only before TensorFlow has first used it."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        if len(tf.config.get_logical_device_configuration(cpu) or ()) < count:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise RequestError(f"strategy needs {count} devices; TensorFlow has already started with fewer") from error
    return tf.config.list_logical_devices("CPU")
