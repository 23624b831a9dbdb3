"""The user's own repository: which commit, which branch, and its exact bytes (DR-001, DR-016).

Nothing here writes to the repository.
"""
