"""Samples: reading, converting, cutting and altering recordings. Everywhere: float32, mono, about -1..1, 16 kHz."""

SAMPLE_RATE_HZ = 16000
