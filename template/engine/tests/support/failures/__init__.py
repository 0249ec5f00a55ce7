"""Kills, contention and outages against real servers. The tests and longer runs share them."""
