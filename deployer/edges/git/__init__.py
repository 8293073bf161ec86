"""The class's repository, by git: a bare mirror, read through one process that stays.

repository    `GitRepository`, the port's one real implementation
mirror        fetched, healed, tidied, read by blob id
objects       read out of one git process that stays; trees, each read and weighed once
command       git with a fixed environment and a bound; what is shown of its words
working_copy  a student's, seen as the commit that it may become
"""
