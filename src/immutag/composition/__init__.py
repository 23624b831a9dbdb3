"""Settings → adapters → use cases: what `Project` is put together from, one module for each thing that a
project is asked for. Nothing here decides; everything is made when it is first used."""
