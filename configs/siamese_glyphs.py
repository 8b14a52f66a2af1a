"""One-shot recognition of letters of alphabets never seen in training: embeddings learned from triplets.

Command:   python train.py --config=configs/siamese_glyphs.py
Measured:  not yet run here
Time:      not yet run here
Published: none on this dataset; hyperparameters were chosen on train[90%:]
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
