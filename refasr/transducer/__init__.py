"""The network (encoder, predictor, joiner) and its training criterion."""
