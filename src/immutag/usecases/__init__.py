"""What a user does: one public function a module. They take values and adapters, and print nothing."""
