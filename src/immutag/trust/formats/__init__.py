"""The documents of others and of ours, read strictly and written exactly. Nothing here is verified."""
