"""The compiled part of training: steps, gradients, evaluation of blocks."""
