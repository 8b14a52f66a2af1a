"""The version, alone in its file so that the package can be described without being imported."""

__version__ = "0.1.0"
