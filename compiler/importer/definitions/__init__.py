"""What several converters define operators by."""
