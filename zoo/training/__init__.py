"""From a config to a trained model: the loop, the compiled engine, checkpoints and records."""
