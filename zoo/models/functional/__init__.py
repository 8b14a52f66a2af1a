"""Networks that no `keras.Sequential` can express: skip connections, branches, several inputs or outputs."""
