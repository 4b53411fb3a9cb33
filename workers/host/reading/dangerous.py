"""Names that run, reach or change whatever their arguments say. No fitted model needs one of them.

A list of what is bad is never complete. It is here to tell an attack from an unfamiliar model, and to refuse
the plain ones early.
"""

import re

# Modules, with all that is below them.
DANGEROUS_MODULES = frozenset(
    """
    os posix nt ntpath posixpath subprocess _posixsubprocess pty popen2 commands sys shutil signal
    resource importlib imp runpy pkgutil zipimport code codeop pdb bdb trace timeit profile cProfile
    _lsprof pstats doctest unittest test idlelib lib2to3 pydoc site sysconfig venv ensurepip pip
    setuptools distutils pkg_resources ctypes _ctypes cffi _cffi_backend mmap gc atexit faulthandler
    tracemalloc threading _thread multiprocessing _multiprocessing concurrent asyncio socket _socket ssl
    select selectors socketserver http urllib urllib2 urllib3 httplib ftplib smtplib smtpd telnetlib
    poplib imaplib nntplib xmlrpc wsgiref cgi cgitb webbrowser antigravity pickle _pickle cPickle
    pickletools marshal shelve dbm sqlite3 tempfile fileinput glob linecache mailcap tarfile zipfile fcntl
    termios tty curses readline rlcompleter getpass crypt platform logging.config msvcrt winreg _winapi
    winsound syslog tkinter turtle turtledemo _xxsubinterpreters _testcapi IPython ipykernel requests
    httpx aiohttp paramiko fabric boto3 botocore s3fs fsspec smart_open git docker psutil pexpect plumbum
    sh invoke yaml _yaml ruamel jsonpickle jinja2 mako numexpr dill.session pydevd debugpy pytest _pytest
    conda virtualenv
    numpy.f2py numpy.distutils numpy.testing numpy.ctypeslib numpy.lib.npyio numpy.lib._npyio_impl
    numpy.lib._datasource numpy.lib.utils
    scipy.io scipy._lib.uarray pandas.io pandas.core.computation pandas._testing
    sklearn.datasets sklearn._build_utils joblib.externals.loky joblib.numpy_pickle_compat joblib.executor
    torch.hub torch.utils.cpp_extension torch.package torch._dynamo torch._inductor
    torch.distributed tensorflow.python.lib.io
    """.split()  # noqa: SIM905  a table of some hundred
)

# Names in modules that hold harmless ones as well.
DANGEROUS_NAMES = frozenset(
    tuple(line.split())
    for line in """
    builtins eval
    builtins exec
    builtins execfile
    builtins compile
    builtins open
    builtins input
    builtins getattr
    builtins setattr
    builtins delattr
    builtins globals
    builtins locals
    builtins vars
    builtins dir
    builtins breakpoint
    builtins help
    builtins exit
    builtins quit
    builtins __import__
    builtins __build_class__
    builtins __loader__
    builtins apply
    builtins file
    builtins reload
    io open
    io open_code
    io FileIO
    _io open
    _io open_code
    _io FileIO
    codecs open
    gzip open
    gzip GzipFile
    bz2 open
    bz2 BZ2File
    lzma open
    lzma LZMAFile
    operator attrgetter
    operator methodcaller
    _operator attrgetter
    _operator methodcaller
    types FunctionType
    types CodeType
    types ModuleType
    copyreg add_extension
    copyreg pickle
    dill load
    dill loads
    dill._dill load
    dill._dill loads
    dill._dill _import_module
    cloudpickle load
    cloudpickle loads
    cloudpickle.cloudpickle load
    cloudpickle.cloudpickle loads
    joblib load
    joblib.numpy_pickle load
    joblib.numpy_pickle load_temporary_memmap
    joblib.numpy_pickle _unpickle
    joblib.memory Memory
    joblib Memory
    numpy load
    numpy save
    numpy savez
    numpy savez_compressed
    numpy savetxt
    numpy loadtxt
    numpy genfromtxt
    numpy fromfile
    numpy fromregex
    numpy memmap
    numpy DataSource
    numpy source
    numpy info
    numpy lookfor
    numpy.core.multiarray fromfile
    numpy._core.multiarray fromfile
    numpy.core.records fromfile
    numpy._core.records fromfile
    numpy.core.memmap memmap
    numpy._core.memmap memmap
    numpy.core.memmap open_memmap
    pandas eval
    pandas ExcelFile
    pandas HDFStore
    torch load
    torch save
    torch.jit load
    xgboost.core _load_lib
    lightgbm.basic _load_lib
    keras.models load_model
    keras.src.models load_model
    tensorflow load_library
    tensorflow load_op_library
    """.splitlines()
    if line.strip()
)

# Names by their form, in all modules below a root.
DANGEROUS_PATTERNS = (
    ("pandas", re.compile(r"read_\w+")),
    ("polars", re.compile(r"(read|scan)_\w+")),
    ("pyarrow", re.compile(r"(read|open|memory_map|OSFile)\w*")),
    ("keras", re.compile(r"load_\w+|get_file")),
    ("tensorflow", re.compile(r"load_\w+|get_file")),
)
