"""Systems: whatever answers prompts, and how they are saved and loaded. Nothing here trains or scores."""
