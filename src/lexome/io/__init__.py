"""Files and records: whatever holds sequences comes in here, one batch at a time, or is refused.

`read_records` takes any source (a path, a sequence, a list, a frame) and yields records;
`read_table` yields the rows of a table. A format is one file and one line in `formats`.
"""
