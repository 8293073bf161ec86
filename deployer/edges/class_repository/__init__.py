"""A class's own repository: what it is made of, the deployer as one file, and writing it.

`sources`: this repository's files that a class begins with, out of a checkout or a wheel.
`wheel`: the deployer that runs, as the one file that students install `deployer check` from.
`writing`: a new directory with one commit. What the files say is decided in `core/new_class.py`.
"""
