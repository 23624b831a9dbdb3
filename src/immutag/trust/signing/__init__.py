"""Signing: keys in files and programs, identities from Sigstore, and what is our own already."""
