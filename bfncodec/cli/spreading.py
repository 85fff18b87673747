"""Many files, many workers: a call whose files are spread over a Ray cluster."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bfncodec.cli.call import Call
from bfncodec.cli.messages import shown
from bfncodec.cli.options import Output
from bfncodec.cli.terminal import share
from bfncodec.errors import InputError
from bfncodec.files.options import Options

__all__ = ["spread"]

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+):/(?=[^/])")


def spread(files: Sequence[Path], given: Mapping[str, Any], options: Options, compresses: bool) -> int:
    """Compress or decompress files, and those in folders, by the workers that --ray says; returns the exit code.

    What is in the target already and no older than its source is left as it is, so that a call which was broken off
    goes on. Raises UsageError for options that no cluster can follow, InputError without Ray.
    """
    output: Output | None = given["output"]
    if output is None or not files or given["to_stdout"] or given["remove"]:
        raise click.UsageError("--ray needs files or folders and -o FOLDER, and removes nothing: leave out -c and --rm")
    call, threads = Call(given["quiet"], given["verbose"]), given["threads"] or 1
    resources: dict[str, Any] = {"num_cpus": threads} | ({"num_gpus": 1} if given["device"] != "cpu" else {})
    work = _workers(given["workers"] * threads, compresses)
    done = plain = compressed = 0
    more = {"workers": given["workers"], "passed_over": call.pass_over} | resources
    for each in work([url_of(path) for path in files], url_of(output.path), options, **more):
        name = shown(each.source)
        if each.state == "failed":
            call.fail(each.source, each.message)
            continue
        size, small = (each.source_bytes, each.target_bytes)[:: 1 if compresses else -1]
        done, plain, compressed = done + 1, plain + size, compressed + small
        call.say(f"{name} : {share(size, small, compresses)}{', there already' if each.state == 'kept' else ''}")
    if done > 1:
        call.say(f"{done} files : {share(plain, compressed, compresses)}")
    return call.code


def url_of(path: Path) -> str:
    """Return a path as it was typed where it is a URL, of which paths keep one slash only.

    >>> url_of(Path("s3://bucket/tiles")), url_of(Path("/home/tiles"))
    ('s3://bucket/tiles', '/home/tiles')
    """
    return _SCHEME.sub(r"\1://", path.as_posix())


def _workers(processors: int, compresses: bool) -> Any:
    """Return what spreads files, with a cluster that says no more than the command does."""
    try:
        import ray

        from bfncodec.integrations.ray import compress_files, decompress_files
    except ImportError as error:
        raise InputError(f"--ray needs Ray ({error}): pip install 'bfncodec[ray]'") from error
    if not ray.is_initialized():
        own: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": max(processors, os.cpu_count() or 1)}
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return compress_files if compresses else decompress_files
