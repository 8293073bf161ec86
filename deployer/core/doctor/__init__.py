"""What `deployer doctor` decides: a line of it, and what the operator's compose file must say.

invariants   what the journal must hold at any moment
lines        a finding, what to do about it, and the exit status
repair       what GitHub was told, as a journal that was lost would know it
stack_rules  what the compose file must hold for a rollout to be safe; how two copies of it differ
"""
