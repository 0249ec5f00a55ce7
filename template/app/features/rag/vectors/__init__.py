"""Vector stores: a contract, and one file each."""
