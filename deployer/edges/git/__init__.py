"""The class's repository, by git: a bare mirror, read through one process that stays."""
