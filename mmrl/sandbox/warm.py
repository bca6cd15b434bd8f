"""What a warm parent imports and exercises before it serves.

In the jail no module can be read from disk, so what ordinary chart programs ask for must be there.
No module is a danger by itself: what it would do, the kernel refuses.
"""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path
from typing import Any

# fmt: off
MODULES = (
    "asyncio", "bisect", "base64", "calendar", "cmath", "collections", "contextlib", "copy",
    "csv", "ctypes", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions",
    "functools", "glob", "hashlib", "heapq", "html", "inspect", "io", "itertools", "json",
    "locale", "logging", "math", "mmap", "multiprocessing", "numbers", "operator", "os",
    "pathlib", "pickle", "pkgutil", "pprint", "random", "re", "resource", "runpy", "select",
    "shutil", "signal", "socket", "statistics", "string", "struct", "subprocess", "tempfile",
    "textwrap", "threading", "time", "traceback", "typing", "unicodedata", "urllib.parse",
    "urllib.request", "uuid", "warnings", "zipfile", "zlib", "zoneinfo",
)
# fmt: on
"""Of the standard library, importable in the jail."""


def warm() -> None:
    """Loads the modules, numpy and pandas with the parts that they load when first used."""
    for name in MODULES:
        importlib.import_module(name)
    # pandas does without, and its threads and 1 GiB of address space make forks slow and limits odd
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    import numpy as np
    import pandas as pd

    "x".encode("idna"), "x".encode("latin-1"), "x".encode("utf-16")
    frame = pd.read_csv(io.StringIO("a,b,when\n1,x,2020-01-01\n2,y,2021-01-01\n"))
    frame["when"] = pd.to_datetime(frame["when"])
    str(frame), frame["a"].value_counts(), frame.describe(), frame.to_csv(), frame.to_json()
    frame.groupby("b")["a"].sum(), frame.pivot_table(index="b", values="a"), frame.set_index("b")
    frame.merge(frame, on="a"), pd.concat([frame, frame]), frame.sort_values("a"), frame.to_dict()
    frame["b"].str.upper(), frame["b"].str.contains("x"), pd.melt(frame, id_vars="a")
    frame.to_numpy(), frame.isna().sum(), frame["a"].astype(float).mean(), frame.query("a > 1")
    pd.date_range("2020-01-01", periods=2), pd.cut(frame["a"], 2), frame.to_html()
    np.random.default_rng(0).normal(size=3), np.linalg.svd(np.eye(2)), np.fft.fft([1.0, 2.0])
    np.polyfit([1, 2, 3], [1, 2, 3], 1), np.histogram([1, 2]), np.loadtxt(io.StringIO("1 2"))
    importlib.import_module("mmrl.sandbox.program")


def warm_drawing() -> Path:
    """Loads matplotlib with the Agg canvas; gives the folder of its fonts, which it still reads.

    Fonts of the system are forgotten: a drawing looks alike on all machines, and they cannot be
    read in the jail.
    """
    import matplotlib

    matplotlib.rcdefaults()
    matplotlib.use("Agg")
    from matplotlib import font_manager

    data = Path(matplotlib.get_data_path()).resolve()
    fonts: Any = font_manager.fontManager
    for name in ("ttflist", "afmlist"):
        kept = [f for f in getattr(fonts, name) if Path(f.fname).resolve().is_relative_to(data)]
        setattr(fonts, name, kept)
    _draw()
    cached: Any = font_manager
    cached._get_font.cache_clear()  # open files, which no program inherits
    return data


def _draw() -> None:
    for name in ("dates", "ticker", "patches", "lines", "cm", "colors", "gridspec", "patheffects"):
        importlib.import_module(f"matplotlib.{name}")
    importlib.import_module("mpl_toolkits.mplot3d")
    import matplotlib.pyplot as plt
    import pandas as pd

    figure, axes = plt.subplots(2, 2)
    axes[0, 0].bar(["a", "b"], [1, 2], label="x")
    axes[0, 0].legend()
    axes[0, 1].pie([1, 2], labels=["a", "b"], autopct="%.0f%%")
    axes[1, 0].scatter([1, 2], [1, 2], c=[1, 2])
    axes[1, 0].set_title("$x^2$")
    pd.DataFrame({"a": [1, 2]}).plot(ax=axes[1, 1])
    figure.tight_layout()
    for kind in ("png", "svg", "pdf"):
        figure.savefig(io.BytesIO(), format=kind)
    plt.close("all")
