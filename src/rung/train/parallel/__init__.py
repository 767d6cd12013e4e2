"""One training over many processes: who they are, how they share the work, and how weights and states are laid out."""
