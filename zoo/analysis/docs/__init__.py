"""Documents that are made from registry, recipes and records."""
