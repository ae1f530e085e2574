"""What is like it: nearest neighbours among embeddings, and kin by MMseqs2."""
