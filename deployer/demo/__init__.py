"""The embedded trial: everything around the deployer that a laptop does not have."""
