"""What is behind an answer: its tokens, where it came from, and the roads not taken."""
