"""What uv and pip say, and the slots between which packages move; for all ways of services."""
