"""The command line: parse, call one function, write a table. No science lives here."""
