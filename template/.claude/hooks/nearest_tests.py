"""Which tests mirror a file: the folder `tests/` has the shape of `app/`."""

from pathlib import Path


def nearest_tests(root: Path, path: Path) -> list[Path]:
    """Return the tests of a file, from the root: a test is its own, a feature's are its folder."""
    if path.name.startswith("test_"):
        return [path]
    if path.parts[:2] == ("app", "features") and len(path.parts) > 3:  # noqa: PLR2004
        folder = Path("tests", "features", path.parts[2])
        return [folder] if (root / folder).is_dir() else []
    if path.parts[:1] != ("app",) or path.stem.startswith("__"):
        return []
    candidates = [
        Path("tests", "unit", f"test_{path.stem}.py"),
        *(
            test.relative_to(root)
            for test in sorted((root / "tests" / "integration").rglob(f"test_{path.stem}*.py"))
        ),
    ]
    return [test for test in candidates if (root / test).is_file()]
