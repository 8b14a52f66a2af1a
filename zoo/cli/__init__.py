"""One command per file: `python -m zoo NAME` runs the one of that name, and `train.py` is the one that trains.

A command is a module with a docstring, whose first line is its help, `ARGUMENTS` and `OPTIONS`, see `zoo.cli.options`,
and `main(options)`. Its top imports no TensorFlow, so that help and wrong requests are answered at once.
"""
