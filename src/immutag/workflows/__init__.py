"""Workflows of CI services: what is written into a repository, and what its jobs say of themselves.

All of it is pure; `immutag workflows` reads and writes (DR-020).
"""
