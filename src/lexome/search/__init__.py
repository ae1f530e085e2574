"""What is like a sequence."""
