"""What every result must beat: plain linear models, one a kind of sequence and of answer."""
