"""Runs picklescan and fickling over the corpus of pickles, and compares them with bundle's verdicts.

    compare.py CORPUS OURS.tsv

OURS.tsv is what `cargo run --example audit_files` prints. The corpus is read, never unpickled. Exits with 1 if bundle
lets a hostile file pass, or refuses an innocent one.
"""

import contextlib
import io
import logging
import signal
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

from fickling.analysis import Severity
from fickling.loader import scan_file, scan_zip_archive
from picklescan.scanner import scan_file_path

logging.disable(logging.CRITICAL)
SECONDS = 20


def with_time_limit(scan, path):
    def stop(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return scan(path)
    except TimeoutError:
        return "fails"
    except Exception:
        # A scanner that fails has not said that the file is harmless, nor that it is not.
        return "fails"
    finally:
        signal.alarm(0)


def picklescan(path):
    """Its exit status counts only dangerous globals: everything that it does not know is "suspicious", and passes."""
    result = scan_file_path(str(path))
    if result.issues_count:
        return "refuses"
    if result.scan_err:
        return "fails"
    return "calls suspicious" if result.suspicious_count else "passes"


def fickling(path):
    """Its own scanning of files, and of the pickles in ZIPs; what it cannot parse it calls suspicious, and so refuses."""
    if zipfile.is_zipfile(path):
        results = scan_zip_archive(str(path), graceful=True).values()
    else:
        results = [scan_file(str(path), graceful=True)]
    safe = all(result.severity == Severity.LIKELY_SAFE and not result.errors for result in results)
    return "passes" if safe else "refuses"


def names(files):
    return ", ".join(f"`{file}`" for file in sorted(files)) or "none"


def main():
    corpus, ours = Path(sys.argv[1]), Path(sys.argv[2])
    bundle = {}
    for line in ours.read_text(errors="replace").splitlines():
        verdict, path, _ = line.split("\t", 2)
        bundle[Path(path)] = {"refused": "refuses"}.get(verdict, verdict)
    tools = [
        ("bundle", lambda path: bundle[path]),
        (f"picklescan {version('picklescan')}", picklescan),
        (f"fickling {version('fickling')}", fickling),
    ]
    verdicts = {
        tool: {path: with_time_limit(scan, path) for path in sorted(corpus.glob("*/*"))} for tool, scan in tools
    }
    print("| | " + " | ".join(tool for tool, _ in tools) + " |")
    print("|---|" + "---|" * len(tools))
    for folder in ["hostile", "innocent"]:
        for verdict in ["refuses", "calls suspicious", "fails", "passes"]:
            counts = [
                sum(found == verdict and path.parent.name == folder for path, found in verdicts[tool].items())
                for tool, _ in tools
            ]
            if any(counts):
                print(f"| {folder}: {verdict} | " + " | ".join(map(str, counts)) + " |")
    print()
    for tool, _ in tools:
        found = verdicts[tool].items()
        hostile = {path.name for path, verdict in found if path.parent.name == "hostile" and verdict == "passes"}
        innocent = {path.name for path, verdict in found if path.parent.name == "innocent" and verdict == "refuses"}
        print(f"{tool} lets pass, of the hostile files: {names(hostile)}.\n")
        print(f"{tool} refuses, of the innocent files: {names(innocent)}.\n")
    right = {"hostile": "refuses", "innocent": "passes"}
    sys.exit(any(verdict != right[path.parent.name] for path, verdict in verdicts["bundle"].items()))


main()
