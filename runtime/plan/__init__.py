"""Plans: their two files, and what their headers say."""
