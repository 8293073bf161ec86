"""`deployer check`: a working copy judged as a push of it would be, before the push."""
