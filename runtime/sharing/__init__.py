"""Sharing: two parties compute on values of which each knows only one part, with material from a dealer."""
