"""Published tests, end to end: the data of each, found or fetched, and brought to one layout.

A suite is one file. `deeploc.find_deeploc` hands out the two tables of DeepLoc 2.0, or says plainly
that it had to draw simulated proteins (`simulated_targeting`) because it could reach neither.
"""
