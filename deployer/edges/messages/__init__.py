"""Mail and chat, through Apprise."""
