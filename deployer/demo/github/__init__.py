"""A stand-in for GitHub: one repository over smart HTTP, its webhook, its commit statuses.

repository  a real bare git repository, served by `git http-backend`
webhook     signed deliveries, as GitHub sends them
statuses    the commit statuses, and waiting for one
api         the REST API
server      the Flask app over all of it in a thread, for the demo and the tests
"""

from deployer.demo.github.server import StandIn

__all__ = ["StandIn"]
