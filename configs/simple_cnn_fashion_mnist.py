"""simple_cnn on Fashion-MNIST.

Command:   python train.py --config=configs/simple_cnn_fashion_mnist.py
Tier:      gpu-hours
Measured:  not yet run here
Published: none for this net; near it are LeNet-5, test/accuracy 0.910 (uncertainty-baselines,
           baselines/mnist/README.md), and a perceptron of 256-128-64 units, 0.900 (Fashion-MNIST's README)
Recipe:    flax, examples/mnist, for a net of the same two convolutions on MNIST (0.9917 there): SGD with momentum
           0.9 at 0.1, batches of 128, 10 epochs

Deviations: this net has batch normalisation, 128 hidden units in place of 256 and max pooling in place of averages.
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="simple_cnn",
        dataset="fashion_mnist",
        batch_size=128,
        epochs=10,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
    )
