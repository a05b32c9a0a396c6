"""`fireside serve`: the server and its page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

import weights
from app.cli.options import (
    context_option,
    debug_option,
    deterministic_option,
    engine_option,
    home_option,
    kernels_option,
    kv_option,
    models_option,
    quantize_option,
    serve_model_option,
    threads_option,
)
from app.cli.remote import engine_elsewhere
from app.cli.terminal import follow
from app.home import data_folder, models_folder
from app.listener import listen


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. One that other computers reach needs accounts: see 'fireside user add'.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOSTNAME",
    help="A name by which other computers reach this one, such as that of a proxy before it; may be given again.",
)
@click.option("--port", default=7860, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@serve_model_option
@context_option
@threads_option
@kernels_option
@quantize_option
@deterministic_option
@kv_option
@engine_option
@home_option
@models_option
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
@debug_option
def serve(
    host: str,
    names: tuple[str, ...],
    port: int,
    model: str | None,
    context: int | None,
    threads: int | None,
    kernels: str,
    quantize: str | None,
    deterministic: bool,
    kv_bytes: int,
    engine: str | None,
    home: Path | None,
    models_dir: Path | None,
    no_browser: bool,
) -> int:
    """Start the server and open the browser."""
    folder = models_folder(models_dir)
    if engine is None and model is not None:
        weights.resolve(model, folder)  # a wrong name is wrong usage, and known before anything is started
    elsewhere = engine_elsewhere(engine, model, context) if engine else None
    listener = listen(host, port)  # likewise a port in use: the import below takes seconds
    from app.model_source import load_engine
    from app.server import serve as run_server

    return run_server(
        home=data_folder(home),
        models_dir=folder,
        model=None if elsewhere else model,
        listener=listener,
        open_browser=not no_browser,
        on_start=follow,
        loader=partial(
            load_engine,
            context=context,
            threads=threads,
            kernels=kernels,
            quantize=quantize,
            deterministic=deterministic,
        ),
        kv_bytes=kv_bytes,
        context=context,
        quantized=quantize is not None,
        elsewhere=elsewhere,
        names=[name.lower() for name in names],
    )
