"""Refuses secrets that can be guessed: samples of documentations, words, and too little entropy."""

import binascii
import math
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from hashlib import md5, sha1, sha256, sha512
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
    "mysuper",
    "devsecret",
    "fortesting",
    "donotshare",
    "1q2w3e",
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
# Words whose digests are no secrets either.
DIGESTED = ("", "admin", "changeme", "hello", "jwt", "key", "password", "secret", "test", "123456")
DIGESTS = {
    digest(word.encode()).hexdigest() for digest in (md5, sha1, sha256, sha512) for word in DIGESTED
}


def check_secret(secret: str) -> None:
    """Check a key of HS256, which needs 256 bits (RFC 7518, 3.2).

    Raises:
        ValueError: it is too short, a known sample, or made of too little. It is not repeated.
    """
    if len(secret.encode()) < MIN_BYTES:
        raise ValueError(
            f"is too short: it needs at least {MIN_BYTES} bytes; run `openssl rand -hex 32`"
        )
    if secret.lower() in DIGESTS or any(_has_placeholder(each) for each in _spellings(secret)):
        raise ValueError("is a placeholder, not a secret; run `openssl rand -hex 32`")
    if _bits(secret) < MIN_BITS or _share_of_steps(secret) > MAX_SHARE_OF_STEPS:
        raise ValueError("can be guessed: it repeats itself; run `openssl rand -hex 32`")


def _has_placeholder(text: str) -> bool:
    letters = SEPARATORS.sub("", text.lower())
    return any(word in letters for word in PLACEHOLDERS)


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret, and what it is the Base64 of."""
    yield secret
    try:
        padded = secret.rstrip("=") + "=" * (-len(secret.rstrip("=")) % 4)
        yield b64decode(padded, altchars=b"-_", validate=False).decode("latin-1")
    except (binascii.Error, ValueError):
        return


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
