"""Variants of a genome: read from VCF files, windowed, translated, written again."""
