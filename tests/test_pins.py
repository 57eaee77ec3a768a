"""What `make install` installs can be installed with every Python that it allows."""

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PINS = Path(__file__).parents[1] / "constraints.txt"


def pythons_by_package() -> dict[str, str]:
    """Each pinned package that is installed here, with the Pythons that it says it needs."""
    found = {}
    for line in PINS.read_text(encoding="utf-8").splitlines():
        pin = line.partition("#")[0].strip()
        if not pin:
            continue
        name = Requirement(pin).name
        try:
            found[name] = metadata(name).get("Requires-Python") or ""
        except PackageNotFoundError:  # an optional one
            continue
    return found


@pytest.mark.parametrize("version", ["3.11.0", "3.12.0", "3.13.0"])
def test_every_pin_allows_the_first_release_of_each_python(version):
    pythons = pythons_by_package()
    assert "optuna" in pythons
    refusing = {
        name: needed for name, needed in pythons.items() if version not in SpecifierSet(needed)
    }
    assert refusing == {}
