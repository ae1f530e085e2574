"""Bricks put together to models, one family a file, its config on top."""
