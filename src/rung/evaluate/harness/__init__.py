"""Task files of lm-eval, read and run here: the same requests, tokens and numbers, item by item, at the engine's speed."""
