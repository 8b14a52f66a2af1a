"""One command per file; `python -m zoo NAME` runs one, `train.py` is the one that trains."""
