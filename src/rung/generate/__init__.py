"""Running the weights of a base: likelihoods of given answers, and answers of its own. No prompts, no scores."""
