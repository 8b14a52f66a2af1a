"""siamese_koch on Omniglot: 20-way one-shot classification of characters of alphabets never seen.

Command:   python train.py --config=configs/siamese_koch_omniglot.py
Tier:      gpu-hours
Measured:  not yet run here
Published: test/one_shot_accuracy 0.920, Koch et al. 2015, table 2 (re-implementations report 0.55 to 0.80)
Recipe:    Koch, Zemel and Salakhutdinov 2015, section 3: SGD with momentum, batches of 128 pairs, cross-entropy;
           the rate falls by 1 % each epoch, at most 200 of them; images are distorted by up to 10 degrees, a shear of
           0.3, a scale of 0.8 to 1.2 and 2 pixels. Evaluated by 400 episodes of 20 characters of one alphabet

The paper's epoch is taken as the 150,000 pairs of its largest set, eight of the 19,280 pairs of an epoch here. The rate
falls by 9.6 % every 80 epochs, which is 1 % every eight of them.

Deviations:
- The paper found rate (1e-4 to 0.1), momentum and l2 (to 0.1) for each layer by Bayesian optimisation and does not
  publish them. Here one of each serves all layers, within these ranges and not tuned; momentum does not grow from 0.5.
- All 200 epochs are trained, where the paper stops after 20 without progress on validation alphabets.
- TFDS has Omniglot's own division, 30 alphabets of 20 drawers to learn and 20 others to evaluate; the paper learns from
  12 drawers of 30 alphabets and evaluates 10 others by 4 drawers.
- The images of an episode come from any drawers, where the paper's come from two.
- Distortions are drawn anew in each epoch, where the paper adds eight per pair once. What they uncover is filled with
  the mean.
- Images have three equal channels, as TFDS stores them, so the first convolution has three times the weights.
"""

from zoo.config import ExperimentConfig

DROPS = ",".join(str(epoch) for epoch in range(80, 1600, 80))


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="siamese_koch",
        dataset="omniglot",
        labels="label",
        augment="affine:10:0.2:0.3:2",
        ways=20,
        shots=1,
        episode_group="alphabet",
        batch_size=128,
        epochs=1600,
        optimizer="sgd",
        learning_rate=1e-3,
        momentum=0.9,
        schedule=f"step:{DROPS}:0.904",
        l2=2e-4,
        eval_every_epochs=40,
    )
