"""The publishers' own nets, as references. Each file is a program of its own: PyTorch may be in another Python."""
