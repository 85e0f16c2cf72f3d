"""Command groups that import a command only when it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from zsad.cli.notices import present
from zsad.errors import InputError, ZsadError, nearest
from zsad.plugin.host import get_host
from zsad.plugin.imports import cause, load_object

if TYPE_CHECKING:
    from typer._click import Command, Context

Command_ = TypeVar("Command_", bound=Callable[..., Any])


class _Once:
    """Says which value counts where an option is given more often than it is read."""

    def parse_args(self: Any, ctx: Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        if not ctx.resilient_parsing:
            values, _, order = self.make_parser(ctx).parse_args(args=list(args))
            for option in dict.fromkeys(order):
                # As everywhere on command lines, a script's own words can be followed by others that win.
                if isinstance(option, TyperOption) and order.count(option) > 1 and _single(option):
                    named = " or ".join((*option.opts, *option.secondary_opts))
                    last = "" if option.is_flag else f", {values[option.name]},"
                    present().say(
                        f"warning: {named} is given {order.count(option)} times; the last one{last} counts"
                    )
        read: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return read


def _single(option: TyperOption) -> bool:
    """Return whether the last value of an option hides the others."""
    said_alike = option.is_flag and not option.secondary_opts
    return not (option.multiple or option.count or said_alike)


class OnceCommand(_Once, TyperCommand):
    """A command that says which value counts where an option is given more often than it is read."""


class LazyCommand(TyperCommand):
    """Stands for a command in ``--help``; parsing its arguments imports the real one.

    Attributes:
        target: Import string of a ``typer.Typer`` or of a function.
        owner: Distribution that contributes it, or None for a built-in command.
    """

    def __init__(self, name: str, target: str, help: str, owner: str | None = None) -> None:
        # A short help of its own keeps the listing from cutting the sentence at one line.
        super().__init__(name, help=help, short_help=help)
        self.target = target
        self.owner = owner

    def make_context(
        self, info_name: str | None, args: list[str], parent: Context | None = None, **extra: Any
    ) -> Context:
        """Parse the arguments with the real command, which the returned context then runs."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> Command:
        """Import the real command.

        Raises:
            ZsadError: If it cannot be imported, or is no command.
        """
        name = self.name or ""
        who = f"command '{name}'" + (f" of '{self.owner}'" if self.owner else "")
        try:
            target = load_object(self.target)
        except ZsadError as error:
            raise ZsadError(f"{who}: {error}") from error
        holder = typer.Typer(add_completion=False, rich_markup_mode=None)
        if isinstance(target, typer.Typer):
            holder.add_typer(target, name=name)
        elif callable(target):
            holder.command(name, cls=OnceCommand)(target)
        else:
            raise ZsadError(f"{who}: '{self.target}' is neither a typer.Typer nor a function")
        try:
            command = typer.main.get_group(holder).commands[name]
        except Exception as error:
            raise ZsadError(f"{who}: '{self.target}' is not a usable command: {cause(error)}") from error
        command.help = command.help or self.help
        return command


class RootGroup(_Once, TyperGroup):
    """The commands of a table, followed by those of plugins."""

    table: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Import string and one-sentence help of each built-in command, by name."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Return the table's names, then the plugins'; a plugin's name that the table has is qualified."""
        contributed = [
            claim.qualified if name in self.table else name for name, claim in get_host().commands.items()
        ]
        return [*self.table, *contributed]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Return the command, not imported yet, or None."""
        if cmd_name in self.table:
            return LazyCommand(cmd_name, *self.table[cmd_name])
        try:
            claim = get_host().commands.get(cmd_name)
        except InputError:
            return None
        return LazyCommand(cmd_name, claim.spec.app, claim.spec.help, claim.distribution)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Find the command that the arguments begin with; name the nearest where there is none."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            if name in get_host().commands:
                get_host().commands.get(name)
            raise InputError(f"unknown command '{name}'{nearest(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Context) -> None:
        """Run the command; what its function returns is no exit code."""
        super().invoke(ctx)


class ListGroup(TyperGroup):
    """A group whose bare name means its command ``list``; options after the bare name go there too."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Put ``list`` before arguments that name no command."""
        bare = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if bare and not ctx.resilient_parsing:
            args = ["list", *args]
        return super().parse_args(ctx, args)


class CommandGroup(typer.Typer):
    """An app of :class:`OnceCommand`."""

    def command(self, name: str) -> Callable[[Command_], Command_]:  # type: ignore[override]
        """Return the decorator that adds a function as a command."""
        return super().command(name, cls=OnceCommand)


def list_group() -> CommandGroup:
    """Return an app for the commands ``list`` and ``info`` of one kind of thing."""
    return CommandGroup(cls=ListGroup, add_completion=False, rich_markup_mode=None)
