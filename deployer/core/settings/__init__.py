"""Texts of settings, and what they must be.

values           text -> value, or what it must be
secret           a text that nothing shows by accident
remote           what git may be given as branch and address
"""
