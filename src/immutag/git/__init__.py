"""The user's own repository: which commit, which branch, and its exact bytes."""
