"""Copies the objects that are in the source bucket already to the destinations that need them.

Source and destinations are listed side by side, in the order of keys, one page of each at a time. So memory does not
grow with their number. There is no file of progress: a second run compares again, and finds what is left.
"""
