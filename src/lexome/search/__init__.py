"""What is like it: nearest neighbours among embeddings, and kin by MMseqs2."""

from lexome.search import callable_room as callable_room
