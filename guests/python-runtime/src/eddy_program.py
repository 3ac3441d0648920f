"""Programs: compiled to code objects once, at deploy, and imported from memory in each instance."""

import importlib.machinery
import importlib.util
import marshal
import sys

import eddy_stdlib

#: By name: whether it is a package, the path that tracebacks name, and the marshalled code.
_modules = {}
_packages = set()


def compile_modules(modules):
    """The form in which programs are kept."""
    program = []
    for module in modules:
        top = module.name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ("eddy", "wit_world", "componentize_py_types"):
            raise ImportError(f"{module.path} has the name of a module that Python or Eddy brings: rename it")
        code = compile(module.source, module.path, "exec", dont_inherit=True)
        package = module.path.endswith("__init__.py")
        program.append((module.name, package, module.path, marshal.dumps(code)))
    return marshal.dumps(program)


def load(program):
    """Makes the program's modules importable and imports its entry, which is the first."""
    program = marshal.loads(program)
    for name, package, path, code in program:
        _modules[name] = (package, path, code)
        while "." in name:
            name = name.rpartition(".")[0]
            _packages.add(name)
    importlib.import_module(program[0][0])


def forget():
    """Takes out what was loaded, as if it had never been."""
    for name in _modules:
        sys.modules.pop(name, None)
    _modules.clear()
    _packages.clear()


class _Importer:
    """Finds modules of the program and of the standard library; what is nowhere is said in a way that helps."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        found = _modules.get(name)
        if found is not None:
            return importlib.util.spec_from_loader(name, _Importer, origin=found[1], is_package=found[0])
        if name in eddy_stdlib.kept:
            is_package = eddy_stdlib.kept[name][0]
            return importlib.util.spec_from_loader(name, _Standard, origin="standard library", is_package=is_package)
        if name in _packages:
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            return spec
        raise ModuleNotFoundError(_missing(name), name=name)

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        _, path, code = _modules[module.__spec__.name]
        module.__file__ = path
        exec(marshal.loads(code), module.__dict__)


class _Standard:
    """Loads modules of the standard library that the snapshot only keeps."""

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        exec(eddy_stdlib.code(module.__spec__.name), module.__dict__)


def _missing(name):
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return (
            f"{name} is part of Python's standard library, but not of Eddy's Python runtime: "
            "a guest has no threads, processes, sockets or files"
        )
    return (
        f"No module named {name!r} in the program: a deploy takes the Python files that are imported by name, and packages "
        f"from the folder vendor of the project (pip install --target vendor {top})"
    )


def prepare():
    """From here on, modules come from the program and what is built in."""
    sys.meta_path[:] = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, _Importer]
    sys.path.clear()
    sys.path_importer_cache.clear()
