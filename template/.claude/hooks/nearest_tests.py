"""Which tests belong to a file: `tests/` mirrors `app/`, and `engine/tests/` the engine."""

from pathlib import Path

ENGINE = ("engine", "src", "chatkit_engine")


def nearest_tests(root: Path, path: Path) -> list[Path]:
    """Return the tests of a file, relative to the root. A feature's tests are its whole folder."""
    if path.name.startswith("test_"):
        return [path]
    if path.parts[:1] == ("app",):
        return _of_app(root, path.relative_to("app"))
    if path.parts[:3] == ENGINE:
        return _of_engine(root, path.relative_to(Path(*ENGINE)))
    return []


def _of_app(root: Path, path: Path) -> list[Path]:
    if path.parts[0] == "features":
        return _of_feature(root, Path("tests"), path)
    return _named(root, Path("tests", path.parent), path.stem)


def _of_engine(root: Path, path: Path) -> list[Path]:
    tests = Path("engine", "tests")
    if path.parts[0] == "features":
        return _of_feature(root, tests, path)
    return [
        *_named(root, tests / "unit", path.stem),
        *_named(root, tests / "integration", path.stem),
    ]


def _of_feature(root: Path, tests: Path, path: Path) -> list[Path]:
    folder = Path(tests, *path.parts[:2])
    return [folder] if len(path.parts) > 2 and (root / folder).is_dir() else []  # noqa: PLR2004


def _named(root: Path, folder: Path, stem: str) -> list[Path]:
    """Return the tests in a folder that are named after a module, such as `test_plan_widget.py`."""
    if stem.startswith("__"):
        return []
    found = [*(root / folder).glob(f"test_{stem}.py"), *(root / folder).glob(f"test_{stem}_*.py")]
    return sorted(test.relative_to(root) for test in found)
