"""What goes wrong, said in four parts: where, what was seen, what was expected, how to mend it."""


class LexomeError(ValueError):
    """A problem that the user can mend. Prints as `WHERE: saw X, expected Y. Try Z.`"""

    exit_code = 2  # the input's or the environment's fault

    def __init__(self, where: str, seen: str, expected: str, remedy: str) -> None:
        super().__init__(where, seen, expected, remedy)  # all in args: survives pickling
        self.where, self.seen, self.expected, self.remedy = where, seen, expected, remedy

    def __str__(self) -> str:
        return f"{self.where}: saw {self.seen}, expected {self.expected}. Try {self.remedy}."


class InputError(LexomeError):
    """A file, table, sequence or option that cannot be used as it is."""


class CheckpointError(LexomeError):
    """Weights, config or tokenizer of a model that do not fit together."""


class EnvironmentProblem(LexomeError):
    """The machine lacks something: disk space, a permission, an extra, a device."""


class ReloadMismatch(LexomeError):
    """What was saved does not give back what was computed: our fault, never the user's."""

    exit_code = 1


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; what is finished is kept and the same command resumes.

    It may arrive anywhere, so it is no `Exception`: code that handles one (a number that cannot
    be parsed, a missing package) must not take the signal for it and go on.
    """

    exit_code = 3

    def __init__(self, signal: str) -> None:
        super().__init__(signal)
        self.signal = signal

    def __str__(self) -> str:
        remedy = "the same command again: what is finished is kept"
        return f"lexome: saw {self.signal}, expected to be left running. Try {remedy}."
