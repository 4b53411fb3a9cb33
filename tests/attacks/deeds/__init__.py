"""What hostile models do, a file a kind of harm.

A deed is a function that takes what was planted for it and returns what it managed to get; it returns None
or raises where it got nothing. It knows no secret: it says what it found, and the test looks whether a
secret is in that. All are safe to run without a sandbox: bombs stop at a few GiB or a few hundred
processes, and signals go to a process that was planted for them.
"""
