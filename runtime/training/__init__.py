"""Training: optimisers, schedules and the loop, for plain numbers and for encoded ones alike."""
