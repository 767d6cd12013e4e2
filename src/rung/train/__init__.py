"""Training: one loop over objectives, tuning and pretraining. Nothing here judges what was trained."""
