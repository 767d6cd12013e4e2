"""What `rung.stats` and the decision promise, put to the test by simulation: shared by `promises.py` and the slow tests."""
