"""Features: samples in, log-mel frames out, under a named profile that pins every constant.

Read `profiles.py` (the constants), `fbank.py` (the equations), `normalise.py`, then `online.py` (the same frames, in chunks).
"""
