"""The architectures: one family per file, in the folder of the Keras API that it is written in."""
