"""Running a model over many sequences: streamed, bounded in tokens, results in input order."""
