"""`requirements.txt`: what it installs, and whose fault it is that it does not.

lines            pip's file format
meaning          text -> what it installs; two texts that install the same are equal
gate             what a class may ask for
blame            the author's fault, the operator's, or nobody's
"""
