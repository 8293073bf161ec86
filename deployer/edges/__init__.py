"""One vendor a module, no decisions; only `deployer.app` imports from here."""
