"""GitHub's API: commit statuses."""
