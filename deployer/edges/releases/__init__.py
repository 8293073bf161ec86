"""Releases on disk: whole trees side by side, one of them live by a link.

store      `ReleaseStore`, the port's one real implementation
wanted     what it is made of
directory  how one is filled; a whole one from a torn one
watch      is it still what was published
"""
