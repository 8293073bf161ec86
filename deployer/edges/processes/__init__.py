"""What our own processes need of the machine: web server, lock, doorbell, clock.

server       gunicorn
lock         one worker for a state and a checkout
doorbell     web wakes the worker
clock        time
unix_socket  by its place in the file system, however deep
"""
