"""What our own processes need of the machine: web server, lock, doorbell, clock."""
