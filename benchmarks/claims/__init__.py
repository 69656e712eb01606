"""The claims of the article about small models, each tried on a small configuration: digits and command words.

    python -m benchmarks.claims                    train what is missing, then report
    python -m benchmarks.claims --report           report what the results file says

Of one seed, all arms of a claim go on from one dense network, on the same recordings in the same order, and differ in one table
of the training configuration (`claims.toml`). Errors are counted on recordings of people of whom nothing was trained on.
A file of JSON lines keeps each arm's errors by utterance, so that intervals can be computed without training again.
"""
