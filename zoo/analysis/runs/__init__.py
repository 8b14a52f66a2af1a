"""What runs gave: pages, comparisons, pictures."""
