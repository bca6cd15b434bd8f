"""Observers: console, files and trackers. They receive frozen values and return nothing."""
