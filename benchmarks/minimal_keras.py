"""The training of configs/mlp_digits.py as a script for Keras: minimal_keras.py EPOCHS TRAIN_EXAMPLES TEST_EXAMPLES.

The images are random; how long it takes does not depend on them.
"""

import sys

import keras
import numpy as np

epochs, train, test = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
images = rng.random((train + test, 8, 8, 1), dtype=np.float32)
labels = rng.integers(0, 10, train + test)
dense, dropout = keras.layers.Dense, keras.layers.Dropout
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        *(layer for _ in range(2) for layer in (dense(128, activation="relu"), dropout(0.2))),
        dense(10),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, epochs * (train // 32))),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(
    images[:train],
    labels[:train],
    batch_size=32,
    epochs=epochs,
    validation_data=(images[train:], labels[train:]),
    validation_freq=min(5, epochs),
    verbose=0,
)
