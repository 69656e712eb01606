"""End-pointing: has the speaker finished? Rules, a model, and the pair of thresholds that acts on it."""
