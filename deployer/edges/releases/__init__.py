"""Releases on disk: whole trees side by side, one of them live by a link.

store      `ReleaseStore`, the port's one real implementation
directory  what one is made of and how it is filled; a whole one from a torn one; is it still what
           was published
"""
