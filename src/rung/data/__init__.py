"""Getting text ready: the mixtures that pretraining reads. Nothing here knows of tokens or models."""
