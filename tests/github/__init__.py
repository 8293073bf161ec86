"""GitHub's own description of its REST API, and requests and answers held against it.

contract   the description, as far as it is needed: `openapi.json`, in GitHub's words
watched    the stand-in for GitHub, with whatever passes it held against that
"""
