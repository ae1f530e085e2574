"""How far two sequences agree, from the front and from the end."""


def shared_start(one: str, other: str) -> int:
    """How many letters both begin with; by halves, so that long ones cost little.

    >>> shared_start("MKTAY", "MKTGY")
    3
    """
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def shared_end(one: str, other: str, most: int) -> int:
    """How many letters both end with, at most so many.

    >>> shared_end("MKTAY", "MKTGY", 5)
    1
    """
    low, high = 0, min(len(one), len(other), most)
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low
