"""From a config to everything that a run needs. Whatever can be refused is refused here, before a run begins."""

import contextlib
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from zoo import processor, registry
from zoo.config import ExperimentConfig
from zoo.data import augment, images, pipeline
from zoo.data.batches import EvaluationBatches, TrainBatches
from zoo.data.sources import ExampleSource
from zoo.data.sources.checked import found_in
from zoo.data.sources.example_source import example_names, fingerprint_kind
from zoo.data.transform import Statistics
from zoo.errors import RequestError, RunError
from zoo.layers import all_layers
from zoo.places.place import ONE_DEVICE, Place
from zoo.places.workers import Workers
from zoo.runs import provenance
from zoo.runs.preprocessing import Preprocessing
from zoo.runs.workdir import STARTED_FROM
from zoo.tasks.base import Objective, builder_arguments
from zoo.training import checks
from zoo.training.data import MEMORY_GIB, Data, corrupt_image, open_data
from zoo.training.engines import Backend, Block, Engine, UnreadableError, make_backend
from zoo.training.freezing import Freezing
from zoo.training.optimizers import LearningRate, decayed, make_optimizer
from zoo.training.rates import rate_factors
from zoo.training.start import Start, known_statistics, open_start
from zoo.waiting import said_if_slow


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config made ready to run.

    Attributes:
        config: what it was made from.
        backend: the devices and processes that it runs on.
        data: the splits and what is learned of them.
        train_batches, evaluation_batches: what batches are made of.
        objective: loss and metrics.
        model: with its initial weights.
        freezing: what of it is frozen at first.
        engine: trains and evaluates it.
        learning_rate: the rate at a step.
        steps_per_epoch: whole batches in the training split.
        started_from: what `run.json` says of the weights that the run began with; None where they were random.
    """

    config: ExperimentConfig
    backend: Backend
    data: Data
    train_batches: TrainBatches
    evaluation_batches: EvaluationBatches
    objective: Objective
    model: keras.Model
    freezing: Freezing
    engine: Engine
    learning_rate: LearningRate
    steps_per_epoch: int
    started_from: Mapping[str, Any] | None = None

    def provenance(self) -> dict[str, Any]:
        """What `run.json` says of a run beside its config."""
        data, backend = self.data, self.backend
        return {
            "versions": provenance.versions(),
            "dataset": data.record(),
            "preprocessing": Preprocessing.of(data.sizing, data.normalization).to_json(),
            "hardware": provenance.hardware(backend.gpus),
            "strategy": backend.strategy_name,
            "replicas": backend.replicas,
            "xla": self.engine.jit or backend.compiles_everything,
            **self.freezing.parameters(),
            "seed": self.config.seed,
            "command": sys.argv,
            **({STARTED_FROM: dict(self.started_from)} if self.started_from else {}),
        }

    @property
    def total_steps(self) -> int:
        """Of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def thaw_step(self) -> int:
        """The step before which what was frozen is thawed; 0: it is never."""
        return self.config.unfreeze_epoch * self.steps_per_epoch

    @property
    def evaluation_bytes(self) -> int:
        """What the images of an evaluation take."""
        return self.evaluation_batches.example_size * self.evaluation_batches.num_examples

    @property
    def statistics_bytes(self) -> int:
        """What the images of `statistics_blocks` take, in float32 where they are mixed."""
        examples = self.config.recompute_batch_norm * self.config.batch_size
        return examples * self.train_batches.example_size * (4 if augment.make_mixing(self.config.augment) else 1)

    def examples_evaluated(self) -> dict[str, np.ndarray]:
        """Of which examples the answers are, in their order, by what `evaluation.npz` calls them.

        Returns:
            `example`, of pairs `left_example` and `right_example`, (n,) each: the names that the examples have, such as
            a file's in its folder, str; else their indices in the split, int64.
        """
        batches, names = self.evaluation_batches, example_names(self.data.evaluation)
        indices = batches.evaluation_examples(np.arange(batches.num_examples, dtype=np.int64))
        return {
            "example" if image == "image" else f"{image}_example": of_image if names is None else names[of_image]
            for image, of_image in indices.items()
        }

    def block_plan(self) -> pipeline.BlockPlan:
        """Where blocks of the whole run end: at every evaluation, and where what was frozen is thawed."""
        config = self.config
        longest = pipeline.longest_block(
            self.train_batches, config.batch_size, config.checkpoint_every_steps, config.log_every_steps
        )
        epochs = math.gcd(config.eval_every_epochs, config.unfreeze_epoch)
        return pipeline.BlockPlan.of(self.total_steps, epochs * self.steps_per_epoch, longest)

    def training_blocks(self, plan: pipeline.BlockPlan, first_step: int) -> Iterator[Block]:
        """The blocks from a step on, as the engine takes them.

        Raises:
            RunError: an image cannot be decoded, or a label not be learned; the message names it.
        """
        first_block = plan.block_of(first_step)
        options = {"batch_size": self.config.batch_size, "seed": self.config.seed, "plan": plan}
        return self._readable(
            lambda local: pipeline.training_blocks(
                self.train_batches, **options, first_step=first_step, replicas=self.backend.replicas, local=local
            ),
            plan.num_blocks - first_block,
            self.data.train,
            lambda number: pipeline.training_examples(self.train_batches, **options, number=first_block + number),
        )

    def statistics_blocks(self) -> Iterator[Block]:
        """The first `recompute_batch_norm` batches of training, the same ones each time, as the engine takes them.

        Raises:
            RunError: as in `training_blocks`.
        """
        steps = self.config.recompute_batch_norm
        longest = pipeline.longest_block(self.train_batches, self.config.batch_size)
        return self.training_blocks(pipeline.BlockPlan.of(steps, steps, longest), 0)

    def evaluation_blocks(self) -> Iterator[Block]:
        """The blocks of the evaluation split, as the engine takes them.

        Raises:
            RunError: as in `training_blocks`.
        """
        batches = self.evaluation_batches
        size = pipeline.evaluation_batch_size(batches, self.config.batch_size)
        return self._readable(
            lambda local: pipeline.evaluation_blocks(
                batches, batch_size=size, replicas=self.backend.replicas, local=local
            ),
            pipeline.evaluation_plan(batches, size).num_blocks,
            self.data.evaluation,
            lambda number: pipeline.evaluation_examples(batches, batch_size=size, number=number),
        )

    def _readable(
        self,
        make_blocks: Callable[[range | None], Any],
        num_blocks: int,
        source: ExampleSource,
        examples_of: Callable[[int], np.ndarray],
    ) -> Iterator[Block]:
        """The blocks; where one cannot be made, the label or the file is named, looked for among its examples alone."""
        try:
            yield from self.backend.blocks(make_blocks, num_blocks)
        except UnreadableError as error:
            message = found_in(str(error)) or corrupt_image(source, examples_of(error.number))
            why = images.reason(str(error))
            raise RunError(message or f"examples of {source.name} cannot be read: {why}") from error


def make_experiment(
    config: ExperimentConfig,
    *,
    place: Place = ONE_DEVICE,
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
    statistics: Statistics | None = None,
    started_from: Mapping[str, Any] | None = None,
    model: keras.Model | None = None,
) -> Experiment:
    """Loads the data, builds model and optimizer under the strategy, and seeds them.

    Args:
        config: the description.
        place: where it runs.
        data_dir: see `open_data`.
        memory_gib: see `open_data`.
        statistics: see `open_data`.
        started_from: of a run that goes on, what `run.json` says of the weights that it began with.
        model: to be used as it is; None: one is built from the config.

    Raises:
        RequestError: a name is unknown, or values or workers do not fit together; the message says what to change.
        RunError: a worker was lost.
    """
    registry.model_info(config.model)
    backend = make_backend(place, config)
    workers = backend.workers
    different = workers.first_different(json.dumps(dataclasses.asdict(config)))
    if different is not None:
        raise RequestError(
            f"worker {different} has another config than worker 0; start all with the same flags, in the same workdir"
        )
    # Several workers make every variable together.
    with workers.worker_loss_named():
        with _said(place, "reading the weights", counting=False):
            start = None if model is not None else open_start(config, started_from, workers)
        statistics = known_statistics(config, start, statistics)
        # Preparing a dataset writes to data_dir.
        with workers.chief_first("prepare the data"), _said(place, "reading the data", counting=False):
            data = open_data(config, data_dir=data_dir, memory_gib=memory_gib, statistics=statistics)
        _check_workers(workers, data)
        with backend.memory_shortage_named(config), _said(place, f"building {config.model}"):
            return _built(config, data, backend, start, model)


def _said(place: Place, doing: str, *, counting: bool | None = None) -> contextlib.AbstractContextManager[None]:
    """Of several workers the chief alone says what takes long."""
    return said_if_slow(doing, counting=counting) if place.is_chief else contextlib.nullcontext()


def _built(
    config: ExperimentConfig, data: Data, backend: Backend, start: Start | None, model: keras.Model | None
) -> Experiment:
    """Builds what the data go into."""
    checks.check_batch(config, data.train.num_examples, backend.replicas)
    steps_per_epoch = data.train.num_examples // config.batch_size
    keras.utils.set_random_seed(config.seed)
    with backend.scope():
        if model is None:
            model = _build_model(config, data, backend, start)
            if start is not None and start.source is not None:
                start = start.load(model, config, data.class_names())
            freezing = Freezing.of(config, model)
        else:
            model = _fitted(model, data, backend)
            freezing = Freezing(model)
        if not config.unfreeze_epoch:
            freezing.freeze()
        checks.check_jit(config, model, backend)
        checks.check_batch_normalization(config, model)
        optimizer = make_optimizer(
            config,
            steps_per_epoch,
            model.trainable_variables,
            backend.momentum_sgd,
            factors=rate_factors(config, model),
            late=freezing.holds(model.trainable_variables),
        )
    objective = data.task.objective(output_names(model), registry.model_info(config.model).loss_weights)
    checks.check_metrics(config, objective)
    train_batches, evaluation_batches = data.train_batches(input_names(model)), data.evaluation_batches()
    engine = backend.make_engine(
        model,
        optimizer,
        objective=objective,
        batch_size=config.batch_size,
        normalize=data.normalization,
        image_names={*train_batches.image_names, *evaluation_batches.image_names},
        **_engine_options(config, model, backend),
    )
    if config.unfreeze_epoch:
        # Optimizer and engine hold all that will ever be trained, so that all checkpoints of a run have one structure.
        freezing.freeze()
    return Experiment(
        config=config,
        backend=backend,
        data=data,
        train_batches=train_batches,
        evaluation_batches=evaluation_batches,
        objective=objective,
        model=model,
        freezing=freezing,
        engine=engine,
        learning_rate=LearningRate(config, steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        started_from=start and start.record,
    )


def _engine_options(config: ExperimentConfig, model: keras.Model, backend: Backend) -> dict[str, Any]:
    """How the engine takes a step."""
    # On a GPU XLA has no deterministic gradient of max pooling (tensorflow issue 69417); TensorFlow's own kernels have.
    without_xla = backend.compiles_everything or (config.deterministic and backend.has_gpu)
    return {
        "jit": "off" if without_xla else config.jit,
        "l2": config.l2,
        "decayed": tuple(v for v in model.trainable_variables if decayed(v, config)),
        "clip_norm": config.grad_clip_norm,
        "accumulate_steps": config.accumulate_steps,
        "ema_decay": config.ema_decay,
    }


def _check_workers(workers: Workers, data: Data) -> None:
    """Refuses workers that have other examples or other versions than worker 0."""
    if workers.count == 1:
        return
    for name, value in data.record().items():
        # A split that one worker holds in memory and another reads by index has fingerprints of two kinds.
        kind = fingerprint_kind(value) if name.endswith("sha256") else ""
        what = f"{name} of {data.train.name}"
        _check_same(workers, what, value, kind, remedy="give all workers the same data")
    for name, value in provenance.versions().items():
        kind = ""
        if name == "zoo_commit":
            # An installed zoo has none, and what was changed since cannot be told from other changes.
            value, kind = (value or "").partition("+")[0], str(value is None)
        _check_same(workers, name, value, kind, remedy="give all workers the same versions")


def _check_same(workers: Workers, name: str, value: Any, kind: str, *, remedy: str) -> None:
    different = workers.first_different(json.dumps(value), kind)
    if different is not None:
        here = "" if isinstance(value, dict) else f", worker {workers.index} has {value}"
        raise RequestError(f"worker {different} has another {name} than worker 0{here}; {remedy}")


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Lets layers that are built inside compute in `float32`, `bfloat16` or `float16`; variables stay float32."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _build_model(config: ExperimentConfig, data: Data, backend: Backend, start: Start | None) -> keras.Model:
    # What the data decide, such as the number of classes, goes before what the weights were trained for.
    arguments = {**(start.arguments if start else {}), **builder_arguments(data.task, config)}
    if not backend.has_gpu:
        processor.check_precision(config.precision)
    try:
        with computing_in(config.precision):
            model = registry.build_model(config.model, data.image_shape, **arguments)
    except RequestError:
        raise
    except (TypeError, ValueError) as error:
        # Keras' own objections to a hyperparameter's value.
        raise RequestError(
            f"{config.model} cannot be built for images {data.image_shape} with {arguments}: "
            + " ".join(str(error).split())
        ) from error
    data.task.check_ends(input_names(model), output_names(model))
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization) and backend.replicas > 1:
            layer.synchronized = config.sync_batch_norm
    return model


def _fitted(model: keras.Model, data: Data, backend: Backend) -> keras.Model:
    """A model that was given, on the devices of the backend; refuses it where it is none for the data."""
    data.task.check_ends(input_names(model), output_names(model))
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs if len(tensor.shape) == 1 + len(data.image_shape)]
    for shape in shapes:
        if any(takes not in (None, size) for takes, size in zip(shape, data.image_shape, strict=True)):
            raise RequestError(f"the model takes images {shape}; those of {data.train.name} are {data.image_shape}")
    if backend.replicas == 1:
        return model
    # Its variables lie on one device; those of a copy that is made here lie on all.
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def input_names(model: keras.Model) -> list[str]:
    """The names of a model's inputs."""
    return [tensor.name for tensor in model.inputs]


def output_names(model: keras.Model) -> list[str]:
    """Keys of a dictionary of outputs; otherwise the names of the layers that give them."""
    # A Sequential has one output, and no `output` before it is called.
    if isinstance(model, keras.Sequential):
        return [model.layers[-1].name]
    return list(model.output) if isinstance(model.output, dict) else list(model.output_names)
