"""Any `rung` command, run elsewhere: as a script for Slurm, or as a training job of SageMaker.

A room of its own below `cli`, because it runs commands and knows nothing of what they do: settings in, a script or a
request out, and the calls that start, follow and stop it.
"""
