"""Passes from Graph to Graph that hold for every scheme."""
