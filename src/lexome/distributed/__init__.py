"""Many devices: acts on finished models from outside; models know nothing of ranks."""
