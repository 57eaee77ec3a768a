"""The rules about who may import whom, held by reading the imports and by looking at processes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "amp_tuner"
MODULES = sorted(PACKAGE.rglob("*.py"))

#: What runs in the worker: standard library, NumPy and (under runtime/) TensorFlow, Python 3.9.
WORKER_FILES = ("errors.py", "files.py", "records.py", "text.py", "tf.py", "__init__.py")
WORKER_FOLDERS = ("amp", "graph", "rewrite", "runtime")
WORKER_MODULES = (
    *("worker/__init__.py", "worker/protocol.py", "worker/main.py"),
    *("roofline/__init__.py", "roofline/work.py"),
)
TENSORFLOW = ("tensorflow", "keras", "tf_keras", "h5py", "google")


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _is_worker_side(name: str) -> bool:
    return (
        name in WORKER_FILES
        or name in WORKER_MODULES
        or name.split("/", maxsplit=1)[0] in WORKER_FOLDERS
    )


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in _imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_runtime_and_the_public_door_import_tensorflow(path: Path) -> None:
    name = _name(path)
    if not name.startswith("runtime/") and name != "tf.py":
        assert not _roots(path) & set(TENSORFLOW)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_the_search_folder_imports_optuna(path: Path) -> None:
    if not _name(path).startswith("search/"):
        assert "optuna" not in _roots(path)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_worker_modules_need_nothing_but_numpy_and_tensorflow(path: Path) -> None:
    name = _name(path)
    if not _is_worker_side(name):
        return
    allowed = {"amp_tuner", "numpy", *TENSORFLOW, *sys.stdlib_module_names}
    assert _roots(path) <= allowed
    # Two names count as one: a module is only in the worker if all it imports is.
    for imported in _imports(path):
        if imported.startswith("amp_tuner."):
            assert _own_module(imported) is None or _is_worker_side(_own_module(imported) or "")


def _own_module(imported: str) -> str | None:
    relative = Path(*imported.split(".")[1:])
    if (PACKAGE / relative).with_suffix(".py").is_file():
        return relative.with_suffix(".py").as_posix()
    return f"{relative.as_posix()}/__init__.py" if (PACKAGE / relative).is_dir() else None


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_worker_modules_parse_as_python_3_9(path: Path) -> None:
    if _is_worker_side(_name(path)):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_runner_is_one_file_that_needs_nothing_of_this_package() -> None:
    (path,) = [path for path in MODULES if _name(path) == "runner/xla_runner.py"]
    assert _roots(path) <= {"jax", "jaxlib", "numpy", *sys.stdlib_module_names}
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_the_runner_imports_jax(path: Path) -> None:
    if _name(path) != "runner/xla_runner.py":
        assert not _roots(path) & {"jax", "jaxlib"}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_the_cluster_folder_imports_ray(path: Path) -> None:
    if not _name(path).startswith("cluster/"):
        assert "ray" not in _roots(path)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_nothing_below_the_command_line_imports_it(path: Path) -> None:
    if not _name(path).startswith("cli/") and _name(path) != "__main__.py":
        assert not [name for name in _imports(path) if name.startswith("amp_tuner.cli")]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_the_command_line_prints(path: Path) -> None:
    if _name(path).startswith("cli/"):
        return
    assert not [call for call in _calls(path) if getattr(call.func, "id", "") == "print"]


#: Calls that run what they are given, or build objects out of it.
RUNNING = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.load", "tf.saved_model.load"),
    *("tf.load_op_library", "tf.load_library"),
}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_nothing_unsafe_to_parse_is_read(path: Path) -> None:
    roots = _roots(path)
    assert not roots & {"pickle", "shelve", "marshal", "dill", "joblib", "cloudpickle"}
    for call in _calls(path):
        name = ast.unparse(call.func)
        options = {one.arg: ast.unparse(one.value) for one in call.keywords}
        assert name not in RUNNING
        assert options.get("shell", "False") == "False"
        assert options.get("allow_pickle", "False") == "False"
        assert name != "np.load" or "allow_pickle" in options


def _calls(path: Path) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_modules_stay_small() -> None:
    long = {_name(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_the_whole_tuner_imports_without_tensorflow() -> None:
    tuner = [
        "amp_tuner." + _name(path)[:-3].replace("/", ".").removesuffix(".__init__")
        for path in MODULES
        if not _name(path).startswith("runtime/")
        and _name(path) not in ("tf.py", "worker/main.py", "__main__.py")
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {tuner!r}: importlib.import_module(name)\n"
        f"print(sorted(set(sys.modules) & {set(TENSORFLOW) - {'google'}!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys\n"
        "from amp_tuner.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'optuna', 'pandas', 'numpy', 'scipy', 'sklearn', 'tensorflow', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip().endswith("[]")
