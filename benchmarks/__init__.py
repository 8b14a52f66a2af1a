"""The same work done by the zoo and by others, side by side: `python -m benchmarks`."""
