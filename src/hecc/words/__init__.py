"""Plans in words: sentences, pages and pictures."""
