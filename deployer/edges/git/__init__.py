"""The class's repository, by git: a bare mirror, read through one process that stays.

repository    `GitRepository`, the port's one real implementation
mirror        fetched, healed, tidied, read by blob id
trees         a commit's trees, each read and weighed once
objects       read out of one git process that stays
command       git with a fixed environment and a bound
words         what is shown of git's: no secret, of a failure the cause
working_copy  a student's, seen as the commit that it may become
"""
