"""The standard library of programs. A guest has no files to import it from later, so all of it is in the snapshot: what
programs often use is imported already, the rest is kept as compressed code and imported when it is asked for."""

import importlib
import marshal
import os
import sys
import zlib

#: Imported before the snapshot is made.
_MODULES = """
__future__ _ast_unparse _colorize _strptime abc annotationlib array ast asyncio base64 binascii bisect calendar cmath
collections collections.abc contextlib contextvars copy copyreg csv dataclasses datetime decimal difflib email.message
email.mime.multipart email.mime.text email.parser email.policy email.utils enum errno fnmatch fractions functools gc
graphlib hashlib heapq hmac html html.parser http http.cookies importlib.util inspect io ipaddress itertools json
keyword linecache locale logging math mimetypes numbers operator os.path pathlib pickle pprint queue quopri random re
reprlib secrets shlex statistics string string.templatelib struct textwrap threading time timeit token tokenize tomllib
traceback types typing unicodedata urllib.error urllib.parse uuid warnings weakref xml.etree.ElementTree zlib
""".split()

_ENCODINGS = "ascii charmap cp1252 idna iso8859_1 iso8859_15 latin_1 punycode utf_16 utf_32 utf_8 utf_8_sig".split()

#: Folders and modules that are not kept: tests, tools for developing, and what needs a screen, a terminal or processes.
_LEFT_OUT = {
    "__pycache__", "_pyrepl", "antigravity", "curses", "dbm", "ensurepip", "idlelib", "lib2to3", "multiprocessing", "pip",
    "pydoc", "pydoc_data", "site-packages", "test", "tests", "this", "tkinter", "turtle", "turtledemo", "venv",
}  # fmt: skip

#: By name: whether it is a package, and its code, marshalled and compressed.
kept = {}


def preload():
    """Imports what is often used, and keeps the rest."""
    for name in [*_MODULES, *(f"encodings.{name}" for name in _ENCODINGS)]:
        importlib.import_module(name)
    for name in sorted(sys.builtin_module_names):
        importlib.import_module(name)
    # `os` itself is frozen and does not say.
    _keep(os.path.dirname(os.path.dirname(importlib.import_module("json").__file__)), "")


def _keep(folder, package):
    for entry in sorted(os.listdir(folder)):
        path = os.path.join(folder, entry)
        stem, extension = os.path.splitext(entry)
        if stem in _LEFT_OUT:
            continue
        if os.path.isdir(path):
            if os.path.exists(os.path.join(path, "__init__.py")):
                _keep(path, f"{package}{entry}.")
        elif extension == ".py":
            is_package = stem == "__init__"
            name = package[:-1] if is_package else package + stem
            if name not in sys.modules:
                with open(path, "rb") as file:
                    code = compile(file.read(), path, "exec", dont_inherit=True)
                kept[name] = (is_package, zlib.compress(marshal.dumps(code), 9))


def code(name):
    """The code of a module that is kept."""
    return marshal.loads(zlib.decompress(kept[name][1]))
