import json

import pytest
import tensorflow as tf

from zoo.errors import RequestError, RunError
from zoo.places import joining
from zoo.places.cluster import Cluster
from zoo.places.place import Place
from zoo.places.strategy import describe, find_cluster, make_strategy, set_cpu_threads


def test_names():
    assert make_strategy(Place.parse("one_device")) is tf.distribute.get_strategy()
    assert make_strategy(Place.parse("mirrored")).num_replicas_in_sync == 2  # no GPU, two logical CPU devices
    assert make_strategy(Place.parse("mirrored:2")).num_replicas_in_sync == 2


@pytest.mark.parametrize(
    ("gpus", "spec", "there"),
    [
        (1, "mirrored:2", "is 1 GPU; take one_device"),
        (1, "mirrored:4", "is 1 GPU; take one_device"),
        (2, "mirrored:4", "are 2 GPUs; take mirrored:2"),
    ],
)
def test_cpu_devices_stand_in_for_no_missing_gpu(gpus, spec, there, monkeypatch):
    """A wrong request, said in one line before TensorFlow starts on any of them."""
    physical = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: [object()] * gpus if kind == "GPU" else physical(kind)
    )
    monkeypatch.setattr(tf.config, "list_logical_devices", None)
    with pytest.raises(RequestError) as error:
        make_strategy.__wrapped__(Place.parse(spec))
    assert str(error.value) == (
        f"strategy is '{spec}'; there {there}, or hide the GPUs with CUDA_VISIBLE_DEVICES= to share the CPU"
    )


def test_auto_takes_the_cpu_where_there_is_nothing_else_and_says_so():
    assert make_strategy(Place.parse("auto")) is tf.distribute.get_strategy()
    assert describe(make_strategy(Place.parse("auto"))) == "1 CPU"
    assert describe(make_strategy(Place.parse("mirrored:2"))) == "2 CPUs"


def test_auto_takes_a_tpu_before_anything_else(monkeypatch):
    monkeypatch.setenv("TPU_NAME", "grpc://localhost:1")
    with pytest.raises(ValueError, match="there is no TPU at 'grpc://localhost:1'"):
        make_strategy.__wrapped__(Place.parse("auto"))


def test_clusters(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    flags = {"worker_hosts": "a:1,b:2", "worker_index": "1"}
    place = Place.parse("multi_worker_mirrored", **flags)
    assert (place.cluster.hosts, place.cluster.index) == (("a:1", "b:2"), 1)
    assert (place.has_workers, place.is_chief) == (True, False)
    assert (Place.parse("mirrored").has_workers, Place.parse("mirrored").is_chief) == (False, True)
    config = {"cluster": {"chief": ["c:1"], "worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    cluster = Place.parse("multi_worker_mirrored").cluster
    # The chief comes first, whatever order the jobs stand in.
    assert (cluster.hosts, cluster.index, cluster.source) == (("c:1", "a:1", "b:2"), 1, "TF_CONFIG")
    # Flags go before the environment.
    assert Place.parse("multi_worker_mirrored", **flags) == place
    with pytest.raises(RequestError, match="--worker_hosts and --worker_index go together"):
        Place.parse("multi_worker_mirrored", worker_hosts="a:1")


def test_only_one_of_several_joins_to_refuse(monkeypatch):
    joined = []

    class Workers:
        def first_different(self, text):
            joined.append(text)

    monkeypatch.setattr(joining, "join", lambda place: joined.append(place) or (None, Workers()))
    worker = Place.parse("multi_worker_mirrored", worker_hosts="a:1,b:2", worker_index="1")
    for place in (Place(), Place.parse("mirrored:2"), worker):
        with pytest.raises(RequestError, match="there is no run"), joining.refused_together(place):
            raise RequestError("there is no run")
        # What went wrong is no answer of the workdir.
        with pytest.raises(RunError), joining.refused_together(place):
            raise RunError
    assert joined == [worker, ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG must be"),
        ('{"cluster": {"worker": ["a:1"]}}', "TF_CONFIG must be"),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
            "TF_CONFIG has a job 'ps'; there are chief and worker",
        ),
    ],
)
def test_a_wrong_tf_config(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(RequestError, match=message):
        Place.parse("multi_worker_mirrored")


def test_a_slurm_job_of_three_tasks_on_two_nodes(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, value in {
        "PROCID": "2",
        "STEP_NUM_TASKS": "3",
        "STEP_NODELIST": "node[1-2]",
        "STEP_TASKS_PER_NODE": "2,1",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    place = Place.parse("multi_worker_mirrored")
    cluster = find_cluster(place)
    assert (cluster.hosts, cluster.index, cluster.source) == (("node1:8888", "node1:8889", "node2:8888"), 2, "SLURM")
    assert not place.is_chief
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(ValueError, match="SLURM's variables do not say where the tasks are: SLURM_STEP_NODELIST"):
        find_cluster(place)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("miror", "unknown strategy 'miror'; did you mean mirrored"),
        ("one_device:2", "one_device takes no number"),
        ("mirrored:0", "mirrored takes a number of devices, as mirrored:2"),
        ("mirrored:two", "mirrored takes a number of devices"),
        ("parameter_server", "parameter_server is not offered: Keras 3 does not support it .keras issue 18624."),
        ("central_storage", "central_storage is not offered: Keras 3 does not support it"),
        ("one_device:", "one_device takes no number"),
        ("tpu", "strategy tpu needs --tpu=ADDRESS, or --tpu=local"),
        ("tpu:grpc://localhost:1", "there is no TPU at 'grpc://localhost:1': .*Connection refused"),
        ("multi_worker_mirrored", "finds no cluster; give --worker_hosts"),
        ("mirrored:3", "strategy needs 3 devices; TensorFlow has already started with fewer"),
    ],
)
def test_wrong_names(spec, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    tf.constant(0.0)  # TensorFlow has started
    with pytest.raises(ValueError, match=message):
        make_strategy(Place.parse(spec))


def test_threads_cannot_change_once_tensorflow_runs():
    tf.constant(0.0)
    set_cpu_threads(tf.config.threading.get_intra_op_parallelism_threads())
    with pytest.warns(UserWarning, match="cpu_threads=7 has no effect"):
        set_cpu_threads(7)


@pytest.mark.parametrize(
    ("strategy", "flags", "message"),
    [
        ("multi_worker_mirrored", ("a:1,b:2", "one"), "worker_index is 'one'; it must be a number"),
        ("multi_worker_mirrored", ("a:1,b:2", "2"), "says this is worker 2; there are 2, numbered from 0"),
        ("multi_worker_mirrored", ("a:1,a:1", "0"), "it must be different host:port,host:port"),
        ("multi_worker_mirrored", ("a,b:1", "0"), "--worker_hosts has 'a'; it must be different host:port"),
        ("mirrored", ("a:1", "0"), "--worker_hosts and --worker_index go with --strategy=multi_worker_mirrored"),
    ],
)
def test_wrong_workers(strategy, flags, message):
    with pytest.raises(RequestError, match=message):
        Place.parse(strategy, worker_hosts=flags[0], worker_index=flags[1])


def test_a_tpu_is_named_by_the_strategy_or_beside_it():
    assert Place.parse("tpu:local") == Place.parse("tpu", tpu="local") == Place("tpu", tpu="local")
    with pytest.raises(RequestError, match="--tpu goes with --strategy=tpu or auto"):
        Place.parse("mirrored:2", tpu="local")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "mirrord"}, "unknown strategy 'mirrord'; did you mean mirrored"),
        ({"strategy": "tpu"}, "strategy tpu needs --tpu=ADDRESS"),
        ({"strategy": "mirrored", "devices": 0}, "strategy mirrored cannot take 0 devices"),
        ({"devices": 2}, "strategy one_device cannot take 2 devices"),
        ({"cluster": Cluster(["a:1", "b:2"], 0, "here")}, "--worker_hosts and --worker_index go with"),
    ],
    ids=str,
)
def test_a_place_that_is_made_by_hand_is_checked_too(fields, message):
    with pytest.raises(RequestError, match=message):
        Place(**fields)


def test_a_place_of_workers_can_be_kept():
    assert hash(Place("multi_worker_mirrored", cluster=Cluster(["a:1", "b:2"], 0, "here")))
