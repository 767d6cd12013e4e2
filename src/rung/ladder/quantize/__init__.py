"""One model in several numbers, side by side: memory, speed and score of each, on the same rows."""
