"""GitHub's API.

statuses  `GitHub`: commit statuses
hooks     webhooks and their deliveries
"""
