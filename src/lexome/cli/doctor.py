"""`lexome doctor`: what runs here, and why."""

from lexome.cli import options


def doctor(json: options.Json = False) -> None:
    """Say which device, number format, kernels and extras are in use here, and why."""
    from lexome.inference.checkup import check_machine

    findings = check_machine()
    if json:
        options.answer({finding.what: finding._asdict() for finding in findings}, True)
        return
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{finding.what:<{width}}  {finding.choice:<22}  {finding.reason}")


EXAMPLES = """\b
Examples:
  lexome doctor
  lexome doctor --json
"""
