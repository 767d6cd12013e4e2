"""The rungs: each a frozen dataclass, all in one literal table."""
