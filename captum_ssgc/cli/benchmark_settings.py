"""The options of ``captum-ssgc benchmark`` that are fields of its settings."""

from __future__ import annotations

import argparse
from dataclasses import fields

from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.cli.messages import CommandError, one_line
from captum_ssgc.cli.method_options import choose_methods
from captum_ssgc.cli.options import add_method_options
from captum_ssgc.cli.settings_fields import add_fields, said_of_options


def add_settings(group: argparse._ArgumentGroup) -> None:
    """One option for each setting; what is given is checked by the settings themselves."""
    more = "one method may stand there again with other options"
    add_method_options(group, BenchmarkSettings.methods, more, dest="methods")
    add_fields(group, BenchmarkSettings, without=["methods"])


def settings_of(args: argparse.Namespace) -> BenchmarkSettings:
    """What :func:`add_settings` read.

    Raises:
        CommandError: for a method, an option or a value that cannot be.
    """
    methods = choose_methods(args.methods, args.option)
    values = {field.name: getattr(args, field.name) for field in fields(BenchmarkSettings)}
    try:
        return BenchmarkSettings(**{**values, "methods": methods})
    except (TypeError, ValueError) as error:
        raise CommandError(said_of_options(one_line(error))) from error
