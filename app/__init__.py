"""The application: conversations, the page, the command line."""
