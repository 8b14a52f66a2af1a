"""Weights of others: read from their files, paired by name with the zoo's nets, and found where they are published."""
