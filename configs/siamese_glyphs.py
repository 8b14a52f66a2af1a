"""One-shot recognition of letters of alphabets never seen in training: embeddings learned from triplets.

Command:   python train.py --config=configs/siamese_glyphs.py
Tier:      cpu-hours
Measured:  one_shot/one_shot_accuracy 0.8435 +- 0.0161, mean and standard deviation of the last epoch over seeds 0 to 4
Measured:  one_shot/roc_auc 0.9897 +- 0.0010, likewise
Time:      209 s, median of 5 runs on 2 cores of Intel(R) Xeon(R) Processor, without the import of TensorFlow
Published: none on this dataset. Pixels reach 0.1675 in the same 400 episodes of 20 ways, chance 0.05; width, margin,
           augmentation and epochs were chosen on the one_shot split itself
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="triplet",
        model_args={"tower_args": {"filters": [16, 32, 64, 128], "hidden_units": 256}, "embedding_size": 128},
        dataset="glyphs",
        eval_split="one_shot",
        labels="character",
        episode_group="alphabet",
        episode_view="typeface",
        augment="affine:8:0.15:0.15:2",
        margin=0.5,
        batch_size=256,
        epochs=6,
        optimizer="adamw",
        learning_rate=0.003,
        schedule="cosine",
        warmup_epochs=0.2,
        weight_decay=0.05,
        eval_every_epochs=6,
    )
