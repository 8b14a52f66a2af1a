"""Tables of published names that several families share, or that would make a family's file too long to read."""
