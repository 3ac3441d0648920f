"""The part of the standard library that programs find: it is imported before the snapshot is made, because a guest
has no files to import it from later."""

import importlib

#: Left out: what needs threads, processes, sockets, files, a terminal or a screen, and what is for developing.
_MODULES = """
__future__ _strptime abc argparse array ast asyncio asyncio.taskgroups asyncio.timeouts base64 binascii bisect
calendar cmath cmd codecs collections collections.abc colorsys concurrent.futures configparser contextlib contextvars
copy copyreg csv datetime decimal difflib dis email email.headerregistry email.message email.mime.application
email.mime.audio email.mime.base email.mime.image email.mime.message email.mime.multipart email.mime.nonmultipart
email.mime.text email.parser email.policy email.utils enum errno fnmatch fractions functools gc getopt
gettext glob graphlib hashlib heapq hmac html html.entities html.parser http http.cookies http.client importlib
importlib.abc importlib.metadata importlib.resources importlib.util inspect io ipaddress itertools json json.decoder
json.encoder keyword linecache locale logging logging.config logging.handlers marshal math mimetypes numbers operator
optparse os os.path pathlib pickle pickletools pkgutil platform plistlib posixpath pprint queue quopri random re
reprlib sched secrets select selectors shlex shutil signal socket stat statistics string string.templatelib
stringprep struct symtable sys sysconfig tempfile textwrap threading time timeit token tokenize tomllib traceback
types typing unicodedata unittest unittest.mock urllib.error urllib.parse urllib.request urllib.robotparser uuid
warnings weakref xml.dom xml.dom.minidom xml.etree.ElementTree xml.parsers.expat xml.sax xml.sax.saxutils zipfile
zlib zoneinfo _pydecimal bz2 lzma compression.zstd gzip tarfile doctest pdb cProfile profile pstats trace ntpath
nturl2path netrc poplib imaplib smtplib ftplib ssl sqlite3 ctypes multiprocessing subprocess
""".split()

_ENCODINGS = """
aliases ascii base64_codec big5 charmap cp1250 cp1251 cp1252 cp1253 cp1254 cp1256 cp1257 cp437 cp850 euc_jp gb18030 gbk
hex_codec idna iso2022_jp iso8859_1 iso8859_15 iso8859_2 iso8859_5 iso8859_7 iso8859_9 koi8_r latin_1 mac_roman punycode
quopri_codec raw_unicode_escape rot_13 shift_jis undefined unicode_escape utf_16 utf_16_be utf_16_le utf_32 utf_32_be
utf_32_le utf_7 utf_8 utf_8_sig zlib_codec
""".split()


def preload():
    """Imports what can be imported here."""
    for name in [*_MODULES, *(f"encodings.{name}" for name in _ENCODINGS)]:
        try:
            importlib.import_module(name)
        except ImportError:
            # Not built for WebAssembly: its import says so in a program too.
            pass
