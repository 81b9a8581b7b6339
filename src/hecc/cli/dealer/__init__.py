"""Commands of who makes what the others need to meet: material, and certificates for tests."""
