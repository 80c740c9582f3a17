"""`trimtab doctor`: what is right and wrong with this installation."""

from __future__ import annotations

import click


@click.command("doctor", epilog="\b\nExamples:\n  trimtab doctor\n  trimtab doctor --json | jq .findings")
@click.option("--json", "as_json", is_flag=True, help="Print facts and findings as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Check this installation and say what to do about what is wrong.

    Ends with exit code 1 if something is broken; a note is no breakage.
    """
    from trimtab.doctor.checks import judge
    from trimtab.doctor.facts import gather
    from trimtab.doctor.report import render, to_json

    facts = gather()
    findings = judge(facts)
    if as_json:
        click.echo(to_json(facts, findings))
    else:
        click.echo(render(findings))
    context.exit(1 if any(finding.level == "problem" for finding in findings) else 0)
