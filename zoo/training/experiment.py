"""From a config to everything that a run needs. Whatever can be refused is refused here, before a run begins."""

import contextlib
import dataclasses
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from zoo import processor, registry
from zoo.config import ExperimentConfig
from zoo.data import augment, pipeline
from zoo.data.batches import EvaluationBatches, TrainBatches
from zoo.data.sources import ExampleSource
from zoo.data.transform import Statistics
from zoo.errors import RequestError, RunError, unknown
from zoo.places.joining import join
from zoo.places.place import ONE_DEVICE, Place
from zoo.places.strategy import ahead_on_device, gpus, is_tpu, set_cpu_threads, strategy_name
from zoo.places.workers import Workers
from zoo.runs import provenance
from zoo.tasks.base import Objective
from zoo.training.data import MEMORY_GIB, Data, corrupt_image, open_data
from zoo.training.engines.memory import is_out_of_memory, memory_shortage_named
from zoo.training.engines.tensorflow import Engine, all_layers, synchronizes
from zoo.training.optimizers import LearningRate, decayed, make_optimizer


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config made ready to run.

    Attributes:
        config: what it was made from.
        strategy: where steps run.
        workers: the processes of the job.
        data: the splits and what is learned of them.
        train_batches, evaluation_batches: what batches are made of.
        objective: loss and metrics.
        model: with its initial weights.
        engine: trains and evaluates it.
        learning_rate: the rate at a step.
        steps_per_epoch: whole batches in the training split.
    """

    config: ExperimentConfig
    strategy: tf.distribute.Strategy
    workers: Workers
    data: Data
    train_batches: TrainBatches
    evaluation_batches: EvaluationBatches
    objective: Objective
    model: keras.Model
    engine: Engine
    learning_rate: LearningRate
    steps_per_epoch: int

    def provenance(self) -> dict[str, Any]:
        """What `run.json` says of a run beside its config."""
        data, name = self.data, strategy_name(self.strategy)
        return {
            "versions": provenance.versions(),
            "dataset": data.record(),
            # What a picture must go through before the model can take it: resize, then (pixels - mean) / deviation.
            "preprocessing": {
                "image_size": data.sizing.size,
                "center_crop": data.sizing.center_crop,
                "interpolation": data.sizing.interpolation,
                "mean": data.normalization.mean,
                "deviation": data.normalization.deviation,
            },
            "hardware": provenance.hardware(gpus()),
            "strategy": name,
            "replicas": self.strategy.num_replicas_in_sync,
            # A TPU compiles everything with XLA, whoever asks.
            "xla": self.engine.jit or name == "tpu",
            "seed": self.config.seed,
            "command": sys.argv,
        }

    @property
    def total_steps(self) -> int:
        """Of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def evaluation_bytes(self) -> int:
        """What the images of an evaluation take."""
        return self.evaluation_batches.example_size * self.evaluation_batches.num_examples

    def block_plan(self) -> pipeline.BlockPlan:
        """Where blocks of the whole run end, every evaluation among them."""
        config = self.config
        longest = pipeline.longest_block(
            self.train_batches, config.batch_size, config.checkpoint_every_steps, config.log_every_steps
        )
        return pipeline.BlockPlan.of(self.total_steps, config.eval_every_epochs * self.steps_per_epoch, longest)

    def training_blocks(self, plan: pipeline.BlockPlan, first_step: int) -> Iterator[dict]:
        """The blocks from a step on, as the engine takes them.

        Raises:
            RunError: an image cannot be decoded; the message names it.
        """
        config = self.config
        blocks = self._distributed(
            lambda local: pipeline.training_blocks(
                self.train_batches,
                batch_size=config.batch_size,
                seed=config.seed,
                plan=plan,
                first_step=first_step,
                replicas=self.strategy.num_replicas_in_sync,
                local=local,
            ),
            plan.num_blocks - plan.block_of(first_step),
        )
        return self._readable(blocks, self.data.train)

    def evaluation_blocks(self) -> Iterator[dict]:
        """The blocks of the evaluation split, as the engine takes them.

        Raises:
            RunError: as in `training_blocks`.
        """
        batches = self.evaluation_batches
        batch_size = pipeline.evaluation_batch_size(batches, self.config.batch_size)
        blocks = self._distributed(
            lambda local: pipeline.evaluation_blocks(
                batches, batch_size=batch_size, replicas=self.strategy.num_replicas_in_sync, local=local
            ),
            pipeline.evaluation_plan(batches, batch_size).num_blocks,
        )
        return self._readable(blocks, self.data.evaluation)

    def _distributed(self, make_dataset, num_blocks: int):
        """The blocks, for the replicas of this process where there are several."""
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1:
            return ahead_on_device(make_dataset(None))

        def dataset_of(context):
            count = replicas // context.num_input_pipelines
            blocks = make_dataset(range(context.input_pipeline_id * count, (context.input_pipeline_id + 1) * count))
            if context.num_input_pipelines == 1:
                return blocks
            # Before each element of a dataset that ends, all processes would ask each other whether it has ended.
            return blocks.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

        return itertools.islice(self.strategy.distribute_datasets_from_function(dataset_of), num_blocks)

    def _readable(self, blocks, source: ExampleSource) -> Iterator[dict]:
        """The blocks; where reading one fails, the file that cannot be read is looked for."""
        try:
            yield from blocks
        except tf.errors.OpError as error:
            if is_out_of_memory(error):
                raise
            message = corrupt_image(source) or f"examples of {source.name} cannot be read: {error.message}"
            raise RunError(message) from error


def make_experiment(
    config: ExperimentConfig,
    *,
    place: Place = ONE_DEVICE,
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
    statistics: Statistics | None = None,
) -> Experiment:
    """Loads the data, builds model and optimizer under the strategy, and seeds them.

    Args:
        config: the description.
        place: where it runs.
        data_dir: see `open_data`.
        memory_gib: see `open_data`.
        statistics: see `open_data`.

    Raises:
        ValueError: a name is unknown, or values or workers do not fit together; the message says what to change.
        RunError: a worker was lost.
    """
    if keras.backend.backend() != "tensorflow":
        raise RequestError(f"Keras runs on {keras.backend.backend()}; training needs KERAS_BACKEND=tensorflow")
    registry.model_info(config.model)
    placement, workers = _take_place(config, place)
    # Several workers make every variable together.
    with workers.worker_loss_named():
        # Preparing a dataset writes to data_dir.
        with workers.chief_first("prepare the data"):
            data = open_data(config, data_dir=data_dir, memory_gib=memory_gib, statistics=statistics)
        _check_workers(workers, data)
        with memory_shortage_named(config):
            return _built(config, data, placement, workers)


def _built(config: ExperimentConfig, data: Data, placement: tf.distribute.Strategy, workers: Workers) -> Experiment:
    """Builds what the data go into."""
    _check_batch(config, data.train.num_examples, placement.num_replicas_in_sync)
    steps_per_epoch = data.train.num_examples // config.batch_size
    keras.utils.set_random_seed(config.seed)
    with placement.scope():
        model = _build_model(config, data, placement.num_replicas_in_sync)
        _check_jit(config, model, placement)
        optimizer = make_optimizer(config, steps_per_epoch, model.trainable_variables)
    objective = data.task.objective(_output_names(model), registry.model_info(config.model).loss_weights)
    _check_metrics(config, objective)
    train_batches, evaluation_batches = data.train_batches(_input_names(model)), data.evaluation_batches()
    engine = Engine(
        model,
        optimizer,
        objective,
        strategy=placement,
        batch_size=config.batch_size,
        normalize=data.normalization,
        image_names={*train_batches.image_names, *evaluation_batches.image_names},
        **_engine_options(config, model, placement),
    )
    return Experiment(
        config=config,
        strategy=placement,
        workers=workers,
        data=data,
        train_batches=train_batches,
        evaluation_batches=evaluation_batches,
        objective=objective,
        model=model,
        engine=engine,
        learning_rate=LearningRate(config, steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
    )


def _engine_options(config: ExperimentConfig, model: keras.Model, placement: tf.distribute.Strategy) -> dict[str, Any]:
    """How the engine takes a step."""
    return {
        # A TPU compiles everything with XLA, whoever asks. On a GPU XLA has no deterministic gradient of max pooling
        # (tensorflow issue 69417); TensorFlow's own kernels have.
        "jit": "off" if is_tpu(placement) or _deterministic_on_gpu(config) else config.jit,
        "l2": config.l2,
        "decayed": tuple(v for v in model.trainable_variables if decayed(v, config)),
        "clip_norm": config.grad_clip_norm,
        "accumulate_steps": config.accumulate_steps,
        "ema_decay": config.ema_decay,
    }


def _take_place(config: ExperimentConfig, place: Place) -> tuple[tf.distribute.Strategy, Workers]:
    """Where the run happens, before anything is built there."""
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    set_cpu_threads(config.cpu_threads)
    placement, workers = join(place)
    odd = workers.first_different(json.dumps(dataclasses.asdict(config)))
    if odd is not None:
        raise RequestError(
            f"worker {odd} has another config than worker 0; start all with the same flags, in the same workdir"
        )
    return placement, workers


def _check_workers(workers: Workers, data: Data) -> None:
    """Refuses workers that have other examples or other versions than worker 0."""
    if workers.count == 1:
        return
    for name, value in data.record().items():
        # A split that one worker holds in memory and another reads by index has fingerprints of two kinds.
        kind = value.rpartition(":")[0] if name.endswith("sha256") else ""
        what = f"{name} of {data.train.name}"
        _check_same(workers, what, value, kind, remedy="give all workers the same data")
    for name, value in provenance.versions().items():
        kind = ""
        if name == "zoo_commit":
            # An installed zoo has none, and what was changed since cannot be told from other changes.
            value, kind = (value or "").partition("+")[0], str(value is None)
        _check_same(workers, name, value, kind, remedy="give all workers the same versions")


def _check_same(workers: Workers, name: str, value: Any, kind: str, *, remedy: str) -> None:
    odd = workers.first_different(json.dumps(value), kind)
    if odd is not None:
        here = "" if isinstance(value, dict) else f", worker {workers.index} has {value}"
        raise RequestError(f"worker {odd} has another {name} than worker 0{here}; {remedy}")


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers made in here compute in a precision, `float32`, `bfloat16` or `float16`; their variables are float32."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _build_model(config: ExperimentConfig, data: Data, replicas: int) -> keras.Model:
    takes = registry.model_info(config.model).hyperparameters
    given = {**data.task.builder_arguments(takes), **config.model_args}
    if not tf.config.list_physical_devices("GPU"):
        processor.check_precision(config.precision)
    try:
        with computing_in(config.precision):
            model = registry.build_model(config.model, data.image_shape, **given)
    except RequestError:
        raise
    except (TypeError, ValueError) as error:
        # Keras' own objections to a hyperparameter's value.
        raise RequestError(
            f"{config.model} cannot be built for images {data.image_shape} with {given}: "
            + " ".join(str(error).split())
        ) from error
    data.task.check_ends(_input_names(model), _output_names(model))
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization) and replicas > 1:
            layer.synchronized = config.sync_batch_norm
    return model


def _check_jit(config: ExperimentConfig, model: keras.Model, placement: tf.distribute.Strategy) -> None:
    """Refuses to compile what cannot be; a TPU compiles everything, and synchronises within."""
    if config.jit == "on" and _deterministic_on_gpu(config):
        raise RequestError(
            "jit=on and deterministic do not go together on a GPU, where XLA has no deterministic gradient of max "
            "pooling; leave one of them out"
        )
    several = placement.num_replicas_in_sync > 1 and not is_tpu(placement)
    if several and config.jit == "on" and synchronizes(model):
        raise RequestError(
            "jit=on and sync_batch_norm do not go together on several replicas, since XLA cannot compile what "
            "synchronises within; leave one of them out"
        )


def _deterministic_on_gpu(config: ExperimentConfig) -> bool:
    return config.deterministic and bool(tf.config.list_physical_devices("GPU"))


def _check_metrics(config: ExperimentConfig, objective: Objective) -> None:
    for name in ("keep_best", "early_stop_metric"):
        metric = getattr(config, name)
        if metric and metric not in objective.summary_names:
            raise unknown(f"metric in {name}", metric, objective.summary_names)


def _input_names(model: keras.Model) -> list[str]:
    return [tensor.name for tensor in model.inputs]


def _output_names(model: keras.Model) -> list[str]:
    """Keys of a dictionary of outputs; otherwise the names of the layers that give them."""
    # A Sequential has one output, and no `output` before it is called.
    if isinstance(model, keras.Sequential):
        return [model.layers[-1].name]
    return list(model.output) if isinstance(model.output, dict) else list(model.output_names)


def _check_batch(config: ExperimentConfig, num_examples: int, replicas: int) -> None:
    size = config.batch_size
    if size > num_examples:
        raise RequestError(f"batch_size is {size}; the training split has {num_examples} examples")
    if size % replicas:
        raise RequestError(f"batch_size is {size}; it must be a multiple of the {replicas} replicas")
    if size // replicas % config.accumulate_steps:
        raise RequestError(
            f"accumulate_steps is {config.accumulate_steps}; it must divide each replica's share of the batch, "
            f"{size // replicas}"
        )
    if config.accumulate_steps > 1 and config.sync_batch_norm and replicas > 1:
        raise RequestError(
            "accumulate_steps and sync_batch_norm do not go together on several replicas, since TensorFlow cannot "
            "synchronise within a loop; leave one of them out"
        )
    if augment.make_mixing(config.augment) is not None and size // replicas % 2:
        raise RequestError(
            f"batch_size is {size}; mixup and cutmix mix two neighbours, so each replica's share must be even"
        )
