"""What the tests' worker processes do with a file."""

import os
import time
from typing import BinaryIO


def size(file: BinaryIO, plus: int = 0) -> int:
    return len(file.read()) + plus


def misbehave(file: BinaryIO) -> object:
    """Do what the file says."""
    match file.read().decode():
        case "memory":
            return len(bytearray(512 * 1024 * 1024))
        case "spin":
            while True:
                pass
        case "hang":
            time.sleep(600)
        case "crash":
            os.abort()
        case "raise":
            raise RuntimeError("hostile")
        case "answer":
            return "x" * 1_000_000
        case "print":
            print("x" * 100_000)
            return "printed"
        case "secrets":
            return sorted(os.environ)
        case other:
            return other
    return None
