"""The one trust rule as other enforcers are told it. Pure."""
