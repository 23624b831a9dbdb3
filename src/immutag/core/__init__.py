"""What immutag knows: values, facts, and the pure functions that decide. No I/O."""
