"""Mail and chat, through Apprise.

sending      one message, bounded; no address is shown
last_resort  that the journal fails, which it can't remember itself
"""
