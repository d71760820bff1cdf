"""Copies what is in the source bucket already to the destinations that lack it."""
