"""Conversations on their way out of and into other programs: one file a format."""
