"""What `deployer doctor` decides: a line of it, and what the operator's compose file must say."""
