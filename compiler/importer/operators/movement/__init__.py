"""Elements that are picked, put elsewhere, and put together."""
