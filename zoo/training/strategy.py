"""The devices of a run: how many threads on a CPU, and a strategy's name to a `tf.distribute.Strategy`."""

import functools
import warnings

import tensorflow as tf

from zoo.errors import RequestError, unknown
from zoo.training.cluster import MULTI_WORKER, Cluster, find_cluster

STRATEGIES = ("one_device", "mirrored", MULTI_WORKER)


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


# One object for all: a second one would number its collective operations from the start again, and TensorFlow
# takes those for the first one's.
@functools.cache
def make_strategy(spec: str) -> tf.distribute.Strategy:
    """Makes a strategy.

    Args:
        spec: `one_device`: the first GPU, or the CPU. `mirrored`: a replica on every GPU, or on every
            logical CPU device where there is no GPU. `mirrored:N`: N replicas, on GPUs where there are that many,
            else on logical devices that share the CPU. Dropout draws the same masks on every replica, each for its
            own examples.

    Raises:
        ValueError: there is no such strategy, or the devices cannot be had.
    """
    name, _, count = spec.partition(":")
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    if name == "one_device":
        if count:
            raise RequestError(f"strategy is {spec!r}; one_device takes no number")
        return tf.distribute.get_strategy()
    if name == MULTI_WORKER:
        return _multi_worker(find_cluster(spec))
    if count and (not count.isdecimal() or int(count) < 1):
        raise RequestError(f"strategy is {spec!r}; mirrored takes a number of devices, as mirrored:2")
    # Physical devices first: asking for logical ones starts TensorFlow, and the CPU cannot be divided after that.
    gpus = len(tf.config.list_physical_devices("GPU"))
    wanted = int(count) if count else max(gpus, 1)
    devices = tf.config.list_logical_devices("GPU") if gpus >= wanted else _cpus(wanted)
    return tf.distribute.MirroredStrategy([device.name for device in devices][: wanted if count else None])


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    """Waits for the other workers and joins them; every GPU of each is a replica, or its CPU."""
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.hosts)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def _cpus(count: int) -> list:
    """Logical devices on the CPU; they can be made only before TensorFlow has first used it."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        if len(tf.config.get_logical_device_configuration(cpu) or ()) < count:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise RequestError(f"strategy needs {count} devices; TensorFlow has already started with fewer") from error
    return tf.config.list_logical_devices("CPU")
