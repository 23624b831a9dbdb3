"""Who vouches for a digest."""
