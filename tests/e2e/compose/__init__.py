"""Likewise, and with it the class in Docker Compose."""
