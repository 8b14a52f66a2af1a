"""Read-only views of models and runs."""
