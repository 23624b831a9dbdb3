"""The real parts that tests talk to: registries, engines, peers, git. README.md beside this says which."""
