"""Datasets by name, augmentation, and the pipeline from step numbers to blocks of batches."""
