"""The embedded trial: everything around the deployer that a laptop does not have.

play     `deployer demo`: plays the acts and shows each as it happens
acts     who pushes what, and how each commit must end
stage    GitHub's stand-in, Airflow, web and worker, on ports of this machine
student  a student with a clone, and what students write
github   the stand-in for GitHub
"""
