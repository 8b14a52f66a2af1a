"""What a run leaves behind and takes up again: its folder, checkpoints, provenance, records. No TensorFlow here."""
