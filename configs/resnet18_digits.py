"""resnet18 on digits, from random weights: what finetune_resnet18_digits is held against.

Command:   python train.py --config=configs/resnet18_digits.py
Tier:      cpu
Measured:  test/accuracy 0.9183 +- 0.0214, mean and standard deviation of the last epoch over seeds 0 to 4
Time:      33 s, median of 5 runs on 2 cores of Intel(R) Xeon(R) Processor, without the import of TensorFlow
Published: none on this split; of the recipe resnet20_digits, at 16x16 for 30 epochs, test/accuracy 0.9789
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="resnet18",
        model_args={"small_stem": True},
        dataset="digits",
        augment="pad_crop:1",
        batch_size=128,
        epochs=5,
        optimizer="sgd",
        learning_rate=0.05,
        momentum=0.9,
        schedule="cosine",
        warmup_epochs=1,
        l2=1e-4,
        eval_every_epochs=5,
        recompute_batch_norm=5,
    )
