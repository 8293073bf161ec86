"""`requirements.txt`: what it installs, and whose fault it is that it does not.

meaning  text -> what it installs, or why a class may not ask for it; two texts that install the
         same are equal
blame    the author's fault, the operator's, or nobody's
"""
