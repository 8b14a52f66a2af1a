"""From a config to everything that a run needs. Whatever can be refused is refused here, before a run begins."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from zoo import registry
from zoo.config import ExperimentConfig
from zoo.data import augment, pipeline
from zoo.data.sources import ExampleSource, load_source
from zoo.errors import RequestError
from zoo.tasks import Classification
from zoo.training.engine import Engine, all_layers
from zoo.training.optimizers import LearningRate, decayed, make_optimizer
from zoo.training.strategy import make_strategy, set_cpu_threads

TRAINABLE = "train.py trains classifiers of one image"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config made ready to run.

    Attributes:
        config: what it was made from.
        strategy: where steps run.
        train: the training split.
        evaluation: the evaluation split.
        transform: of training images; mean and deviation serve evaluation too.
        model: with its initial weights.
        engine: trains and evaluates it.
        learning_rate: the rate at a step.
        steps_per_epoch: whole batches in the training split.
    """

    config: ExperimentConfig
    strategy: tf.distribute.Strategy
    train: ExampleSource
    evaluation: ExampleSource
    transform: pipeline.ImageTransform
    model: keras.Model
    engine: Engine
    learning_rate: LearningRate
    steps_per_epoch: int

    @property
    def total_steps(self) -> int:
        """Of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    def block_boundaries(self) -> np.ndarray:
        """The steps at which blocks of the whole run end, every evaluation among them."""
        config = self.config
        longest = pipeline.longest_block(
            4 * math.prod(self.model.input_shape[1:]),
            config.batch_size,
            config.checkpoint_every_steps,
            config.log_every_steps,
        )
        return pipeline.block_boundaries(self.total_steps, config.eval_every_epochs * self.steps_per_epoch, longest)

    def training_blocks(self, boundaries: np.ndarray, first_step: int):
        """The blocks from a step on, as the engine takes them."""
        return self._distributed(
            lambda: pipeline.training_blocks(
                self.train,
                self.transform,
                batch_size=self.config.batch_size,
                seed=self.config.seed,
                boundaries=boundaries,
                first_step=first_step,
                replicas=self.strategy.num_replicas_in_sync,
            )
        )

    def evaluation_blocks(self):
        """The blocks of the evaluation split, as the engine takes them."""
        return self._distributed(
            lambda: pipeline.evaluation_blocks(
                self.evaluation,
                self.transform,
                batch_size=self.config.batch_size,
                replicas=self.strategy.num_replicas_in_sync,
            )
        )

    def _distributed(self, make_dataset):
        if self.strategy.num_replicas_in_sync == 1:
            return make_dataset()
        return self.strategy.distribute_datasets_from_function(lambda context: make_dataset())


def make_experiment(
    config: ExperimentConfig, *, strategy: str = "one_device", data_dir: str | None = None
) -> Experiment:
    """Loads the data, builds model and optimizer under the strategy, and seeds them.

    Args:
        config: the description.
        strategy: see `make_strategy`.
        data_dir: see `load_source`.

    Raises:
        ValueError: a name is unknown, or values do not fit together; the message says what to change.
    """
    if keras.backend.backend() != "tensorflow":
        raise RequestError(f"Keras runs on {keras.backend.backend()}; training needs KERAS_BACKEND=tensorflow")
    info = registry.model_info(config.model)
    if info.task != "classification":
        raise RequestError(f"model is {config.model!r}, which is for {info.task}; {TRAINABLE}")
    set_cpu_threads(config.cpu_threads)
    placement = make_strategy(strategy)
    train = load_source(config.dataset, config.train_split, data_dir)
    evaluation = load_source(config.dataset, config.eval_split, data_dir)
    _check_batch_size(config.batch_size, train.num_examples, placement.num_replicas_in_sync)
    transform = pipeline.make_transform(train, config.normalize, config.image_size, config.augment)
    augment.check_augmentations(config.augment, transform.output_shape(train.features["image"].shape))
    steps_per_epoch = train.num_examples // config.batch_size
    keras.utils.set_random_seed(config.seed)
    with placement.scope():
        model = _build_model(config, train, transform)
        for layer in all_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization) and placement.num_replicas_in_sync > 1:
                layer.synchronized = config.sync_batch_norm
        optimizer = make_optimizer(config, steps_per_epoch, model.trainable_variables)
    engine = Engine(
        model,
        optimizer,
        Classification(config.label_smoothing, info.loss_weights),
        strategy=placement,
        batch_size=config.batch_size,
        jit=config.jit,
        l2=config.l2,
        decayed=tuple(v for v in model.trainable_variables if decayed(v, config)),
        clip_norm=config.grad_clip_norm,
    )
    rate = LearningRate(config, steps_per_epoch)
    return Experiment(config, placement, train, evaluation, transform, model, engine, rate, steps_per_epoch)


def _build_model(config: ExperimentConfig, train: ExampleSource, transform: pipeline.ImageTransform) -> keras.Model:
    input_shape = transform.output_shape(train.features["image"].shape)
    num_classes = len(train.features["label"].class_names)
    try:
        model = registry.build_model(config.model, input_shape, num_classes, **config.model_args)
    except RequestError:
        raise
    except (TypeError, ValueError) as error:
        # Keras' own objections to a hyperparameter's value.
        raise RequestError(
            f"{config.model} cannot be built for images {input_shape} with model_args {config.model_args}: "
            + " ".join(str(error).split())
        ) from error
    if len(model.inputs) != 1:
        takes = " and ".join(tensor.name for tensor in model.inputs)
        raise RequestError(f"model is {config.model!r}, which takes {takes}; {TRAINABLE}")
    # A Sequential has one output, and no `output` before it is called.
    output = None if isinstance(model, keras.Sequential) else model.output
    if isinstance(output, dict) and "logits" not in output:
        gives = " and ".join(output)
        raise RequestError(f"model_args of {config.model} is {config.model_args}, which gives {gives}; {TRAINABLE}")
    return model


def _check_batch_size(batch_size: int, num_examples: int, replicas: int) -> None:
    if batch_size > num_examples:
        raise RequestError(f"batch_size is {batch_size}; the training split has {num_examples} examples")
    if batch_size % replicas:
        raise RequestError(f"batch_size is {batch_size}; it must be a multiple of the {replicas} replicas")
