"""Networks that are one path from one input to one output: each is a `keras.Sequential([...])`."""
