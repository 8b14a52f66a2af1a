"""lenet5 on MNIST.

Command:   python train.py --config=configs/lenet5_mnist.py
Tier:      gpu-hours
Measured:  not yet run here
Published: test/accuracy 0.991, uncertainty-baselines, baselines/mnist/README.md (another net: ReLU,
           max pooling, padding); LeCun et al. 1998, figure 9, have 0.9905
Recipe:    uncertainty-baselines, baselines/mnist/deterministic.py: Adam at 1e-3, batches of 256, 5,000 steps, that is
           25 epochs of the 50,000 images it trains on

Deviations: trained on all 60,000 images, so that 25 epochs are 5,850 steps; the net is the paper's, with tanh and
averages, where uncertainty-baselines has ReLU, max pooling and padding; images are enlarged from 28x28 to the paper's
32x32, where the paper pads them.

The paper itself (section III-B) trains by a stochastic diagonal Levenberg-Marquardt method on one example at a time,
20 passes: no optimizer here does that.
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="lenet5",
        dataset="mnist",
        image_size=32,
        batch_size=256,
        epochs=25,
        optimizer="adam",
        learning_rate=1e-3,
    )
