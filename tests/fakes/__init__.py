"""One fake for each port, shared by all tests; each passes its port's contract test."""
