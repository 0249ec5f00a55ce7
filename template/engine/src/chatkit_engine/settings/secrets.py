"""Refuses secrets that can be guessed: samples of documentations, words, and too little entropy."""

import math
import re
from collections import Counter
from itertools import pairwise

MIN_BYTES = 32
# What 32 random bytes have at the least is far above: 64 hexadecimal digits have some 230 bits.
MIN_BITS = 100
# Neighbours such as `ab`, `12` or `aa` are rare where characters are drawn at random.
MAX_SHARE_OF_STEPS = 0.4
SEPARATORS = re.compile(r"[^a-z0-9]")
# Parts of secrets that documentations, tutorials and generators of projects show.
PLACEHOLDERS = (
    "changeme",
    "changethis",
    "changeit",
    "placeholder",
    "replaceme",
    "replacethis",
    "replacewith",
    "insertyour",
    "putyour",
    "your256bit",
    "yoursecret",
    "yourkey",
    "yourjwt",
    "yoursuper",
    "youroptional",
    "supersecret",
    "topsecret",
    "mysecret",
    "secretkey",
    "secretjwt",
    "jwtsecret",
    "astringsecret",
    "averylong",
    "verysecret",
    "notsecret",
    "notasecret",
    "insecure",
    "dontuse",
    "donotuse",
    "password",
    "passphrase",
    "example",
    "keyboardcat",
    "letmein",
    "qwert",
    "asdfg",
    "foobar",
    "loremipsum",
    "correcthorse",
    "thisisa",
    "atleast32",
    "atleast256",
    "leastthirty",
    # The sample keys of FastAPI's documents, of Flask's, of jwt.io in Base64, and of RFC 7515.
    "09d25e094faa6ca2556c818166b7a956",
    "192b9bdd22ab9ed4d12e236c78afcb9a",
    "ew91ci0yntytyml0lxnly3jlda",
    "aym1sysppbydfgzld3umj1qzkobwvmko",
)


def check_secret(secret: str) -> None:
    """Check a key of HS256, which needs 256 bits (RFC 7518, 3.2).

    Raises:
        ValueError: it is too short, a known sample, or made of too little. It is not repeated.
    """
    if len(secret.encode()) < MIN_BYTES:
        raise ValueError(
            f"is too short: it needs at least {MIN_BYTES} bytes; run `openssl rand -hex 32`"
        )
    letters = SEPARATORS.sub("", secret.lower())
    if any(word in letters for word in PLACEHOLDERS):
        raise ValueError("is a placeholder, not a secret; run `openssl rand -hex 32`")
    if _bits(secret) < MIN_BITS or _share_of_steps(secret) > MAX_SHARE_OF_STEPS:
        raise ValueError("can be guessed: it repeats itself; run `openssl rand -hex 32`")


def _bits(secret: str) -> float:
    """Estimate the entropy: that of the shortest part that the secret repeats."""
    part = secret[: (secret + secret).index(secret, 1)]
    counts = Counter(part)
    per_character = -sum(n / len(part) * math.log2(n / len(part)) for n in counts.values())
    return len(part) * per_character


def _share_of_steps(secret: str) -> float:
    """Return the share of characters that are next to their neighbour in the code table."""
    steps = sum(abs(ord(one) - ord(other)) <= 1 for one, other in pairwise(secret))
    return steps / (len(secret) - 1)
