"""Weights in other forms: other numbers, fewer of them, other programs' files. What they are worth is the ladder's matter."""
