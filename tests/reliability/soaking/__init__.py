"""Soak: a class at work for a long time, and what of the deployer grows meanwhile.

proxies    between GitHub and web, worker and GitHub, worker and git: they cut, slow, stall, corrupt
process    web and worker as of a VM, over the kill matrix's stand-ins for Airflow and its packages
classroom  all of it together: thirty students, pushes, deaths, nights
samples    memory, open files, threads, journal and disk over the pushes; what is flat
pages      what a page costs at many deployments

`scripts/soak soak` (`..soak`) runs all of it; `test_soak.py` a small one, in CI.
"""
