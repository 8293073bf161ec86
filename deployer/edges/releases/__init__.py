"""Releases on disk: whole trees side by side, one of them live by a link."""
