"""`deployer check`: a working copy judged as a push of it would be, before the push.

before_push  what a push would have judged, parsed in isolation and said of each file
"""
