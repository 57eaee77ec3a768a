"""The part of the package that a device machine gets stands on NumPy and JAX alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from amp_tuner.bundle.shipped import SHIPPED, shipped
from tests.test_layering import PACKAGE, _imports, _own_module

ALLOWED = {"amp_tuner", "numpy", "jax", "jaxlib", *sys.stdlib_module_names}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_module_needs_what_is_shipped_or_there(name: str) -> None:
    path = PACKAGE / name
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    for imported in _imports(path):
        assert imported.split(".")[0] in ALLOWED
        if imported.startswith("amp_tuner."):
            assert _own_module(imported) in (None, *SHIPPED)


def test_the_command_needs_the_standard_library_before_it_has_unpacked_anything() -> None:
    tree = ast.parse((PACKAGE / "bundle/run_bundle.py").read_text(encoding="utf-8"))
    roots = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert {root.split(".")[0] for root in roots} <= sys.stdlib_module_names


def test_what_is_shipped_imports_by_itself(tmp_path: Path) -> None:
    for name, content in shipped().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    code = "import amp_tuner.bundle.device as one; print(one.__file__)"
    environment = {"PYTHONPATH": str(tmp_path / "package"), "PATH": ""}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith(str(tmp_path))
