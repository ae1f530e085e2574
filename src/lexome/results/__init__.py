"""What comes out: named tuples, the one list of column names, and tables on disk."""
