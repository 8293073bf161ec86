"""Settings, read once: `DEPLOYER_…`, an env file, `…_FILE`, systemd credentials."""
