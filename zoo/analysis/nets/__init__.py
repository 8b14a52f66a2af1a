"""What nets are: layers, branches, costs, drawings."""
