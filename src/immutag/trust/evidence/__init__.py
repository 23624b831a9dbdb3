"""What is said of an image beyond a signature: SBOMs, provenance, whatever others attest."""
